/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread listens, one more per connection.  A request outlives its client: sending to a client
 * that left is no error of the request.
 */
#include "engine/ctlserver.h"

#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/str.h"
#include "engine/diff.h"
#include "engine/sync.h"
#include "engine/failback.h"
#include "engine/verify.h"

#define REQUEST_MAX CONTROL_LINE_MAX
#define CLIENTS_MAX 64

struct ctlserver {
    struct engine *engine;
    char *path;
    int listen_fd;
    int stop_fd;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    unsigned clients; /* guarded by lock */
    bool stopping;    /* guarded by lock */
};

struct client {
    struct ctlserver *server;
    int fd;
    json_t *id;
    bool gone;
};

static void client_send(struct client *c, json_t *message)
{
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
    size_t length = text ? strlen(text) : 0, done = 0;

    json_decref(message);
    if (text)
        text[length++] = '\n'; /* in place of the NUL */
    while (!c->gone && done < length) {
        ssize_t n = send(c->fd, text + done, length - done, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            c->gone = true;
        else
            done += (size_t)n;
    }
    free(text);
}

static void client_event(json_t *event, void *context)
{
    struct client *c = context;
    json_t *message = json_copy(event);

    json_object_set(message, "id", c->id);
    client_send(c, message);
}

static void client_error(struct client *c, struct error *e)
{
    client_send(c, json_pack("{s:O?, s:{s:i, s:s, s:s}}", "id", c->id, "error", "code",
                             error_code(e), "name", strerrorname_np(error_code(e)), "message",
                             error_text(e)));
}

static int check_request(const json_t *request, struct error **err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(request))
        return error_set(err, EINVAL, "a request must be a JSON object on one line");
    json_object_foreach((json_t *)(uintptr_t)request, key, value) {
        if (strcmp(key, "id") != 0 && strcmp(key, "verb") != 0 && strcmp(key, "args") != 0)
            return error_set(err, EINVAL, "unknown field '%s' in a request; it may have id, verb "
                                          "and args", key);
    }
    if (!json_is_string(json_object_get(request, "verb")))
        return error_set(err, EINVAL, "a request needs a verb");
    value = json_object_get(request, "args");
    if (value && !json_is_object(value))
        return error_set(err, EINVAL, "args must be a JSON object");
    return 0;
}

static void client_request(struct client *c, const char *line, size_t length)
{
    _cleanup_error_ struct error *e = NULL;
    json_t *request = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    json_t *result = NULL;
    int r = check_request(request, &e);

    c->id = json_is_object(request) ? json_object_get(request, "id") : NULL;
    if (r == 0)
        r = verb_run(c->server->engine, json_string_value(json_object_get(request, "verb")),
                     json_object_get(request, "args"), client_event, c, &result, &e);
    if (r < 0)
        client_error(c, e);
    else
        client_send(c, json_pack("{s:O?, s:o}", "id", c->id, "result", result));
    c->id = NULL;
    json_decref(request);
}

static bool peer_allowed(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

/* Waits for bytes from the client or for the server's end.  False: finish. */
static bool client_wait(struct client *c)
{
    struct pollfd p[2] = {{.fd = c->fd, .events = POLLIN},
                          {.fd = c->server->stop_fd, .events = POLLIN}};

    while (poll(p, 2, -1) < 0)
        if (errno != EINTR)
            return false;
    return p[1].revents == 0;
}

static void client_loop(struct client *c, char *buffer)
{
    size_t used = 0;

    while (!c->gone && client_wait(c)) {
        ssize_t n = recv(c->fd, buffer + used, REQUEST_MAX - used, 0);
        char *end;

        if (n <= 0)
            return;
        used += (size_t)n;
        while ((end = memchr(buffer, '\n', used))) {
            size_t length = (size_t)(end - buffer) + 1;

            client_request(c, buffer, length - 1);
            memmove(buffer, buffer + length, used - length);
            used -= length;
        }
        if (used == REQUEST_MAX) {
            _cleanup_error_ struct error *e = NULL;

            error_set(&e, EMSGSIZE, "a request may have at most %d bytes", REQUEST_MAX);
            client_error(c, e);
            return;
        }
    }
}

static void *client_run(void *context)
{
    struct client *c = context;
    struct ctlserver *s = c->server;
    _cleanup_free_ char *buffer = malloc(REQUEST_MAX);

    pthread_setname_np(pthread_self(), "control");
    if (buffer && peer_allowed(c->fd))
        client_loop(c, buffer);
    close(c->fd);
    free(c);
    pthread_mutex_lock(&s->lock);
    s->clients--;
    pthread_cond_signal(&s->idle);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void accept_client(struct ctlserver *s)
{
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    struct client *c;
    pthread_t thread;

    if (fd < 0)
        return;
    LOCK_FOR_SCOPE(&s->lock);
    c = s->stopping || s->clients >= CLIENTS_MAX ? NULL : calloc(1, sizeof(*c));
    if (!c) {
        close(fd);
        return;
    }
    c->server = s;
    c->fd = fd;
    if (pthread_create(&thread, NULL, client_run, c) != 0) {
        close(fd);
        free(c);
        return;
    }
    pthread_detach(thread);
    s->clients++;
}

static void *server_run(void *context)
{
    struct ctlserver *s = context;
    struct pollfd p[2] = {{.fd = s->listen_fd, .events = POLLIN},
                          {.fd = s->stop_fd, .events = POLLIN}};

    pthread_setname_np(pthread_self(), "control");
    while (poll(p, 2, -1) >= 0 || errno == EINTR) {
        if (p[1].revents)
            break;
        if (p[0].revents)
            accept_client(s);
    }
    return NULL;
}

/* The store is locked by this process, so a socket that is there has no owner any more. */
static int listen_on(const char *path, int *ret_fd, struct error **err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, ENAMETOOLONG, "%s: a unix socket path may have at most %zu "
                                            "characters; use a shorter folder", path,
                         sizeof(address.sun_path) - 1);
    strcpy(address.sun_path, path);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(path, 0600) < 0 || listen(fd, 16) < 0)
        return error_set_errno(err, errno, "cannot listen on %s", path);
    *ret_fd = steal_fd(&fd);
    return 0;
}

int ctlserver_start(struct engine *engine, const char *path, struct ctlserver **ret_server,
                    struct error **err)
{
    struct ctlserver *s = mem_new(1, sizeof(*s));
    int r;

    s->engine = engine;
    s->path = str_dup(path);
    s->listen_fd = -1;
    s->stop_fd = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->idle, NULL);
    r = s->stop_fd < 0 ? error_set_errno(err, errno, "cannot listen on %s", path)
                       : listen_on(path, &s->listen_fd, err);
    if (r == 0) {
        r = -pthread_create(&s->thread, NULL, server_run, s);
        if (r < 0)
            error_set_errno(err, -r, "cannot listen on %s", path);
    }
    if (r < 0) {
        if (s->listen_fd >= 0)
            close(s->listen_fd);
        if (s->stop_fd >= 0)
            close(s->stop_fd);
        free(s->path);
        free(s);
        return r;
    }
    *ret_server = s;
    return 0;
}

static void cancel_long_verbs(struct engine *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    diff_cancel_all_locked(e);
    if (e->sync)
        atomic_store(&e->sync->cancel, true);
    if (e->verify)
        atomic_store(&e->verify->cancel, true);
    if (e->failback)
        atomic_store(&e->failback->cancel, true);
}

void ctlserver_stop(struct ctlserver *s)
{
    uint64_t one = 1;

    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_mutex_unlock(&s->lock);
    if (write(s->stop_fd, &one, sizeof(one)) < 0)
        abort(); /* an eventfd write of 1 cannot fail */
    pthread_join(s->thread, NULL);
    unlink(s->path);
    close(s->listen_fd);
    cancel_long_verbs(s->engine);
    pthread_mutex_lock(&s->lock);
    while (s->clients > 0)
        pthread_cond_wait(&s->idle, &s->lock);
    pthread_mutex_unlock(&s->lock);
    close(s->stop_fd);
    free(s->path);
    free(s);
}
