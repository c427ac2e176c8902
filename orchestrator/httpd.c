/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/httpd.h"

#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/access.h"
#include "orchestrator/api.h"
#include "orchestrator/remote.h"

#define READING_SUFFIX ".ro"
#define CONNECTIONS_MAX 64
#define HEARTBEAT_NS (10 * NS_PER_S)

/* Where connections come in. */
struct listener {
    struct httpd *httpd;
    struct MHD_Daemon *mhd; /* NULL: not in use */
    char *path;
    enum access_role limit; /* nobody may do more here */
};

/* A connection that was handed over and that the server has not begun with. */
struct arrival {
    struct arrival *next;
    int fd;
    struct access_peer peer;
};

struct httpd {
    struct daemon *daemon;
    struct access_policy policy;
    struct listener main, reading, handed;
    struct remote *remote; /* NULL: not in use */
    pthread_mutex_t lock;  /* guards what follows */
    struct arrival *arrivals;
};

struct upload {
    char *data;
    size_t length, room;
    bool too_long;
};

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned status,
                             struct MHD_Response *response, const char *type)
{
    enum MHD_Result result;

    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result reply_json(struct MHD_Connection *connection, struct api_answer *answer)
{
    const char *type = answer->text ? answer->type : "application/json";
    char *text = answer->text   ? answer->text
                 : answer->body ? json_dumps(answer->body, JSON_COMPACT)
                                : str_dup("");
    struct MHD_Response *response;

    json_decref(answer->body);
    if (!text)
        return MHD_NO;
    response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (answer->allow)
        MHD_add_response_header(response, "Allow", answer->allow);
    return queue(connection, answer->status, response, type);
}

struct stream {
    struct event_stream *events;
    char *line; /* being sent */
    size_t sent;
};

/* An empty line now and then shows whether the listener is still there. */
static ssize_t stream_read(void *context, uint64_t position, char *out, size_t max)
{
    struct stream *s = context;
    size_t n;

    if (!s->line) {
        s->sent = 0;
        if (event_stream_next(s->events, HEARTBEAT_NS, &s->line) < 0)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (!s->line)
            s->line = str_dup("\n");
    }
    n = strlen(s->line + s->sent);
    n = n < max ? n : max;
    memcpy(out, s->line + s->sent, n);
    s->sent += n;
    if (!s->line[s->sent]) {
        free(s->line);
        s->line = NULL;
    }
    return (ssize_t)n;
}

static void stream_free(void *context)
{
    struct stream *s = context;

    event_stream_close(s->events);
    free(s->line);
    free(s);
}

static enum MHD_Result reply_stream(struct MHD_Connection *connection, struct api_answer *answer)
{
    struct stream *s = mem_new(1, sizeof(*s));
    struct MHD_Response *response;

    s->events = answer->stream;
    response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, stream_read, s,
                                                 stream_free);
    return queue(connection, answer->status, response, "application/x-ndjson");
}

/* A body may hold a password: no copy of it stays behind. */
static void upload_free(struct upload *u)
{
    if (u->data)
        explicit_bzero(u->data, u->length);
    free(u->data);
}

static void upload_add(struct upload *u, const char *data, size_t size)
{
    if (u->length + size > u->room) {
        struct upload more = {.length = u->length, .room = 2 * (u->length + size)};

        more.data = mem_new(1, more.room);
        if (u->data)
            memcpy(more.data, u->data, u->length);
        upload_free(u);
        *u = more;
    }
    memcpy(u->data + u->length, data, size);
    u->length += size;
}

static enum MHD_Result take_upload(struct upload *u, const char *data, size_t *size)
{
    if (u->length + *size > API_BODY_MAX)
        u->too_long = true;
    else
        upload_add(u, data, *size);
    *size = 0;
    return MHD_YES;
}

/* Takes the arrival with this descriptor out of the list; false: there is none. */
static bool arrival_take(struct httpd *h, int fd, struct access_peer *ret_peer)
{
    LOCK_FOR_SCOPE(&h->lock);
    for (struct arrival **p = &h->arrivals; *p; p = &(*p)->next) {
        struct arrival *a = *p;

        if (a->fd != fd)
            continue;
        *ret_peer = a->peer;
        *p = a->next;
        free(a);
        return true;
    }
    return false;
}

/* Hands one end of a socket pair to the server. */
static int take_connection(void *context, int fd, const struct access_peer *peer)
{
    const struct sockaddr_un nowhere = {.sun_family = AF_UNIX};
    struct arrival *a = mem_new(1, sizeof(*a));
    struct httpd *h = context;
    struct access_peer unused;

    *a = (struct arrival){.fd = fd, .peer = *peer};
    pthread_mutex_lock(&h->lock);
    a->next = h->arrivals;
    h->arrivals = a;
    pthread_mutex_unlock(&h->lock);
    if (MHD_add_connection(h->handed.mhd, fd, (const struct sockaddr *)&nowhere,
                           sizeof(nowhere)) == MHD_YES)
        return 0;
    arrival_take(h, fd, &unused);
    return -EIO;
}

/* Who is at the other end, asked for once per connection. */
static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct listener *l = context;
    const union MHD_ConnectionInfo *info;
    struct access_peer *peer;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        free(*socket_context);
        *socket_context = NULL;
        return;
    }
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *socket_context = peer = mem_new(1, sizeof(*peer));
    if (l != &l->httpd->handed)
        access_peer_of_socket(&l->httpd->policy, info ? info->connect_fd : -1, l->limit, peer);
    else if (!info || !arrival_take(l->httpd, info->connect_fd, peer))
        *peer = (struct access_peer){.role = ACCESS_NONE, .uid = -1};
}

static struct access_peer *peer_of(struct MHD_Connection *connection, const char *method)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct access_peer *peer = info ? info->socket_context : NULL;

    if (peer && (peer->role == ACCESS_NONE || access_needed(method) == ACCESS_WRITE))
        access_peer_identify(peer);
    return peer;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *url, const char *method, const char *version,
                                  const char *data, size_t *size, void **request_context)
{
    struct listener *l = context;
    struct upload *u = *request_context;
    struct api_answer answer = {0};
    struct error *err = NULL;

    if (!u) {
        *request_context = mem_new(1, sizeof(*u));
        return MHD_YES;
    }
    if (*size)
        return take_upload(u, data, size);
    if (u->too_long) {
        error_set(&err, E2BIG, "the body has more than %d bytes", API_BODY_MAX);
        api_fail(&answer, err);
    } else {
        struct api_request request = {
            .method = method, .path = url, .body = u->data, .body_length = u->length,
            .since = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "since"),
            .peer = peer_of(connection, method)};

        api_handle(l->httpd->daemon, &request, &answer);
    }
    log_debug("%s %s: %u", method, url, answer.status);
    return answer.stream ? reply_stream(connection, &answer) : reply_json(connection, &answer);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request_context,
                         enum MHD_RequestTerminationCode code)
{
    struct upload *u = *request_context;

    if (u)
        upload_free(u);
    free(u);
    *request_context = NULL;
}

/* True when somebody accepts connections there. */
static bool is_alive(const struct sockaddr_un *address)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
}

static int bind_for(int fd, const struct sockaddr_un *address, const struct access_group *group,
                    struct error **err)
{
    mode_t mask = umask(0117); /* the file is 0660 from the first moment on */
    int r = fd < 0 ? -1 : bind(fd, (const struct sockaddr *)address, sizeof(*address));
    int code = errno;

    umask(mask);
    if (r < 0)
        return error_set_errno(err, code, "cannot listen on %s", address->sun_path);
    if (group->known && chown(address->sun_path, (uid_t)-1, group->gid) < 0)
        return error_set_errno(err, errno, "cannot give %s to the group %s", address->sun_path,
                               group->name);
    return 0;
}

static int listen_on(const char *path, const struct access_group *group, int *ret_fd,
                     struct error **err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r;

    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, ENAMETOOLONG, "the socket path %s is too long: at most %zu "
                         "characters", path, sizeof(address.sun_path) - 1);
    strcpy(address.sun_path, path);
    if (is_alive(&address))
        return error_set(err, EBUSY, "another slipwayd listens on %s: end it, or use another "
                         "--socket", path);
    unlink(path);
    r = bind_for(fd, &address, group, err);
    if (r < 0)
        return r;
    if (listen(fd, CONNECTIONS_MAX) < 0)
        return error_set_errno(err, errno, "cannot listen on %s", path);
    *ret_fd = steal_fd(&fd);
    return 0;
}

static void listener_stop(struct listener *l)
{
    if (l->mhd && l->path)
        unlink(l->path);
    if (l->mhd)
        MHD_stop_daemon(l->mhd);
    free(l->path);
}

/* fd -1: only for connections that are handed over.  poll(), not select(): with many migrations
 * there are more than FD_SETSIZE descriptors. */
static struct MHD_Daemon *server_start(struct listener *l, int fd)
{
    const unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                           MHD_USE_POLL |
                           (fd < 0 ? (unsigned)MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC : 0);

    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, l, MHD_OPTION_NOTIFY_COMPLETED,
                            on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
                            MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
                            MHD_OPTION_CONNECTION_TIMEOUT, 60u,
                            fd < 0 ? MHD_OPTION_END : MHD_OPTION_LISTEN_SOCKET, fd,
                            MHD_OPTION_END);
}

/* Takes path. */
static int listener_start(struct httpd *h, struct listener *l, char *path,
                          const struct access_group *group, enum access_role limit,
                          struct error **err)
{
    int fd = -1, r = listen_on(path, group, &fd, err);

    *l = (struct listener){.httpd = h, .path = path, .limit = limit};
    if (r < 0)
        return r;
    l->mhd = server_start(l, fd);
    if (l->mhd)
        return 0;
    close(fd);
    return error_set(err, EIO, "cannot serve HTTP on %s", path);
}

static int handed_start(struct httpd *h, struct error **err)
{
    h->handed = (struct listener){.httpd = h, .limit = ACCESS_WRITE};
    h->handed.mhd = server_start(&h->handed, -1);
    if (!h->handed.mhd)
        return error_set(err, EIO, "cannot serve HTTP to others");
    return remote_start(h->daemon->options, take_connection, h, &h->remote, err);
}

int httpd_start(struct daemon *daemon, struct httpd **ret_httpd, struct error **err)
{
    const struct options *o = daemon->options;
    struct httpd *h = mem_new(1, sizeof(*h));
    int r = access_policy_load(&h->policy, o->group, o->read_group, err);

    h->daemon = daemon;
    pthread_mutex_init(&h->lock, NULL);
    if (r == 0)
        r = listener_start(h, &h->main, str_dup(o->socket_path), &h->policy.write, ACCESS_WRITE,
                           err);
    if (r == 0 && h->policy.read.known)
        r = listener_start(h, &h->reading, str_format("%s" READING_SUFFIX, o->socket_path),
                           &h->policy.read, ACCESS_READ, err);
    if (r == 0 && o->listen)
        r = handed_start(h, err);
    if (r < 0)
        httpd_stop(h);
    else
        *ret_httpd = h;
    return r;
}

void httpd_stop(struct httpd *h)
{
    if (!h)
        return;
    remote_stop(h->remote);
    listener_stop(&h->main);
    listener_stop(&h->reading);
    listener_stop(&h->handed);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
