/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/remote.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/logkind.h"
#include "orchestrator/tls.h"
#include "orchestrator/tlsroles.h"

#define CONNECTIONS_MAX 64
#define HANDSHAKE_NS (10 * NS_PER_S)
#define LINGER_NS NS_PER_S
#define FULL_PAUSE_NS (100 * NS_PER_MS)

struct connection {
    struct connection *next;
    struct remote *remote;
    int fd;
    char from[80]; /* its address, for the log */
};

struct remote {
    struct tls *tls;
    const char *roles_path;
    remote_take_fn *take;
    void *context;
    int listen_fd, end_fd;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct connection *connections;
    unsigned count;
    struct tlsroles *roles;
    struct timespec roles_changed;
};

/* ---- roles ---- */

/* A list that has become wrong lets nobody in: somebody was perhaps to be taken out of it. */
static void roles_refresh_locked(struct remote *m)
{
    _cleanup_error_ struct error *err = NULL;
    struct stat st = {0};

    if (stat(m->roles_path, &st) == 0 && m->roles &&
        memcmp(&st.st_ctim, &m->roles_changed, sizeof(st.st_ctim)) == 0)
        return;
    m->roles_changed = st.st_ctim;
    m->roles = tlsroles_free(m->roles);
    if (tlsroles_load(m->roles_path, &m->roles, &err) < 0)
        log_about(LOG_LEVEL_ERROR, LOG_KIND_TLS, NULL, NULL, "no certificate has a role: %s",
                  error_text(err));
}

struct choice {
    const struct tlsroles *roles;
    struct access_peer *peer;
    int place; /* of the line that counts; -1: none yet */
};

static int consider_name(void *context, const char *name)
{
    struct choice *c = context;
    enum access_role role;
    int place = tlsroles_find(c->roles, name, &role);
    bool better = place >= 0 && (c->place < 0 || place < c->place);

    if (better) {
        c->place = place;
        c->peer->role = role;
    }
    if (better || !c->peer->name[0])
        snprintf(c->peer->name, sizeof(c->peer->name), "certificate %s", name);
    return 0;
}

static void peer_of_link(struct remote *m, const struct tls_link *link, struct access_peer *peer)
{
    struct choice choice = {.peer = peer, .place = -1};

    *peer = (struct access_peer){.role = ACCESS_NONE, .uid = -1};
    LOCK_FOR_SCOPE(&m->lock);
    roles_refresh_locked(m);
    choice.roles = m->roles;
    if (m->roles)
        tls_link_names(link, consider_name, &choice);
    if (!peer->name[0])
        snprintf(peer->name, sizeof(peer->name), "a certificate without a name");
}

/* ---- one connection ---- */

static void serve(struct connection *c, struct tls_link *link)
{
    struct access_peer peer;
    int pair[2];

    peer_of_link(c->remote, link, &peer);
    log_debug("%s comes from %s", peer.name, c->from);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        log_about(LOG_LEVEL_WARNING, LOG_KIND_TLS, NULL, NULL, "cannot serve %s: %s", c->from,
                  strerror(errno));
        return;
    }
    if (c->remote->take(c->remote->context, pair[1], &peer) == 0)
        tls_relay(link, pair[0]);
    close(pair[0]);
}

static void connection_end(struct connection *c)
{
    struct remote *m = c->remote;

    LOCK_FOR_SCOPE(&m->lock);
    for (struct connection **p = &m->connections; *p; p = &(*p)->next)
        if (*p == c) {
            *p = c->next;
            break;
        }
    close(c->fd);
    free(c);
    m->count--;
    pthread_cond_broadcast(&m->changed);
}

/* Lets the other side read why: a socket closed with something unread in it takes back what was
 * sent. */
static void linger(int fd)
{
    uint64_t until = clock_now_ns() + LINGER_NS;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char unread[4096];

    shutdown(fd, SHUT_WR);
    while (clock_now_ns() < until && poll(&p, 1, (int)(LINGER_NS / NS_PER_MS)) > 0 &&
           recv(fd, unread, sizeof(unread), MSG_DONTWAIT) > 0)
        ;
}

static void *connection_thread(void *context)
{
    _cleanup_error_ struct error *err = NULL;
    struct connection *c = context;
    struct tls_link *link = NULL;

    if (tls_accept(c->remote->tls, c->fd, HANDSHAKE_NS, &link, &err) < 0)
        log_about(LOG_LEVEL_INFO, LOG_KIND_REFUSED, NULL, NULL, "%s is not let in: %s", c->from,
                  error_text(err));
    else
        serve(c, link);
    tls_link_close(link);
    linger(c->fd);
    connection_end(c);
    return NULL;
}

static int thread_begin(pthread_t *thread, void *(*fn)(void *), void *context, bool detached)
{
    pthread_attr_t attr;
    int r;

    pthread_attr_init(&attr);
    if (detached)
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    r = pthread_create(thread, &attr, fn, context);
    pthread_attr_destroy(&attr);
    return -r;
}

static void address_text(const struct sockaddr *address, socklen_t length, char *text, size_t size)
{
    char host[64], port[8];

    if (getnameinfo(address, length, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(text, size, address->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    else
        snprintf(text, size, "somewhere");
}

/* Takes fd. */
static void connection_begin(struct remote *m, int fd, const struct sockaddr_storage *address,
                             socklen_t length)
{
    struct connection *c = mem_new(1, sizeof(*c));
    pthread_t thread;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    c->remote = m;
    c->fd = fd;
    address_text((const struct sockaddr *)address, length, c->from, sizeof(c->from));
    pthread_mutex_lock(&m->lock);
    c->next = m->connections;
    m->connections = c;
    m->count++;
    pthread_mutex_unlock(&m->lock);
    if (thread_begin(&thread, connection_thread, c, true) < 0)
        connection_end(c);
}

/* ---- the listener ---- */

static bool is_full(struct remote *m)
{
    LOCK_FOR_SCOPE(&m->lock);
    return m->count >= CONNECTIONS_MAX;
}

static void accept_one(struct remote *m)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    int fd;

    /* Those that are too many wait in the kernel's queue. */
    if (is_full(m)) {
        clock_sleep_ns(FULL_PAUSE_NS);
        return;
    }
    fd = accept4(m->listen_fd, (struct sockaddr *)&address, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        connection_begin(m, fd, &address, length);
    else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        clock_sleep_ns(FULL_PAUSE_NS); /* no descriptor is free, for example */
}

static void *listen_thread(void *context)
{
    struct remote *m = context;
    struct pollfd p[] = {{.fd = m->end_fd, .events = POLLIN},
                         {.fd = m->listen_fd, .events = POLLIN}};

    for (;;) {
        if (poll(p, 2, -1) < 0)
            continue;
        if (p[0].revents)
            return NULL;
        accept_one(m);
    }
}

/* "ADDRESS:PORT" or "[ADDRESS]:PORT", which is changed. */
static int address_split(char *text, const char **ret_host, const char **ret_port)
{
    char *colon = strrchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : 0;

    if (length == 0 || !colon[1])
        return -EINVAL;
    *colon = '\0';
    *ret_port = colon + 1;
    *ret_host = text;
    if (text[0] == '[' && text[length - 1] == ']') {
        text[length - 1] = '\0';
        *ret_host = text + 1;
    } else if (strchr(text, ':')) {
        return -EINVAL;
    }
    return 0;
}

static int socket_listen(const struct addrinfo *at, const char *text, int *ret_fd,
                         struct error **err)
{
    _cleanup_close_ int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_storage bound;
    socklen_t length = sizeof(bound);
    char where[80];

    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (fd < 0 || bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, CONNECTIONS_MAX) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &length) < 0)
        return error_set_errno(err, errno, "cannot listen on %s", text);
    address_text((const struct sockaddr *)&bound, length, where, sizeof(where));
    log_about(LOG_LEVEL_INFO, LOG_KIND_TLS, NULL, NULL, "listening with TLS on %s", where);
    *ret_fd = steal_fd(&fd);
    return 0;
}

static int address_listen(const char *text, int *ret_fd, struct error **err)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    _cleanup_free_ char *copy = str_dup(text);
    const char *host, *port;
    struct addrinfo *found;
    int r;

    if (address_split(copy, &host, &port) < 0)
        return error_set(err, EINVAL, "--listen wants ADDRESS:PORT or [ADDRESS]:PORT, not '%s'",
                         text);
    r = getaddrinfo(host, port, &hints, &found);
    if (r != 0)
        return error_set(err, EINVAL, "--listen %s: %s", text, gai_strerror(r));
    r = socket_listen(found, text, ret_fd, err);
    freeaddrinfo(found);
    return r;
}

/* Reads everything once: what is wrong now keeps slipwayd from starting. */
static int files_open(struct remote *m, const struct options *o, struct error **err)
{
    const struct tls_files files = {
        .cert = o->tls_cert, .key = o->tls_key, .ca = o->tls_ca, .crl = o->tls_crl};
    int r;

    if (!o->tls_cert || !o->tls_key || !o->tls_ca || !o->tls_roles)
        return error_set(err, EINVAL, "--listen needs --tls-cert, --tls-key, --tls-ca and "
                         "--tls-roles");
    m->roles_path = o->tls_roles;
    r = tlsroles_load(o->tls_roles, &m->roles, err);
    return r < 0 ? r : tls_open(&files, &m->tls, err);
}

static void remote_free(struct remote *m)
{
    if (m->listen_fd >= 0)
        close(m->listen_fd);
    if (m->end_fd >= 0)
        close(m->end_fd);
    tls_close(m->tls);
    tlsroles_free(m->roles);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

int remote_start(const struct options *o, remote_take_fn *take, void *context,
                 struct remote **ret_remote, struct error **err)
{
    struct remote *m = mem_new(1, sizeof(*m));
    int r;

    m->take = take;
    m->context = context;
    m->listen_fd = -1;
    m->end_fd = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->changed, NULL);
    r = files_open(m, o, err);
    if (r == 0)
        r = address_listen(o->listen, &m->listen_fd, err);
    if (r == 0 && (m->end_fd < 0 || thread_begin(&m->thread, listen_thread, m, false) < 0))
        r = error_set(err, EAGAIN, "cannot begin to listen on %s", o->listen);
    if (r < 0)
        remote_free(m);
    else
        *ret_remote = m;
    return r;
}

void remote_stop(struct remote *m)
{
    if (!m)
        return;
    if (eventfd_write(m->end_fd, 1) == 0)
        pthread_join(m->thread, NULL);
    pthread_mutex_lock(&m->lock);
    for (const struct connection *c = m->connections; c; c = c->next)
        shutdown(c->fd, SHUT_RDWR);
    while (m->count > 0)
        pthread_cond_wait(&m->changed, &m->lock);
    pthread_mutex_unlock(&m->lock);
    remote_free(m);
}
