/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/control.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

struct control {
    int fd;
    json_int_t last_id;
    char *line; /* CONTROL_LINE_MAX + 1 bytes */
    size_t used;
};

int control_connect(const char *socket_path, struct control **ret_control, struct error **err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = -1;
    struct control *c;

    if (strlen(socket_path) >= sizeof(address.sun_path))
        return error_set(err, ENAMETOOLONG,
                         "%s: a unix socket path may have at most %zu characters; use a shorter "
                         "folder", socket_path, sizeof(address.sun_path) - 1);
    strcpy(address.sun_path, socket_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return error_set_errno(err, errno, "no engine answers on %s", socket_path);
    c = calloc(1, sizeof(*c));
    if (c)
        c->line = malloc(CONTROL_LINE_MAX + 1);
    if (!c || !c->line) {
        free(c);
        return error_set_errno(err, ENOMEM, "cannot talk to %s", socket_path);
    }
    c->fd = steal_fd(&fd);
    *ret_control = c;
    return 0;
}

struct control *control_close(struct control *c)
{
    if (!c)
        return NULL;
    close(c->fd);
    free(c->line);
    free(c);
    return NULL;
}

/* Like fdio_write_all, without SIGPIPE. */
static int send_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, data, length, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        length -= (size_t)n;
    }
    return 0;
}

static int control_send(struct control *c, json_t *request, struct error **err)
{
    _cleanup_free_ char *text = json_dumps(request, JSON_COMPACT);
    char *line;
    int r;

    if (!text || asprintf(&line, "%s\n", text) < 0)
        return error_set_errno(err, ENOMEM, "cannot write a request to the engine");
    r = strlen(line) > CONTROL_LINE_MAX ? -EMSGSIZE : send_all(c->fd, line, strlen(line));
    free(line);
    return r < 0 ? error_set_errno(err, -r, "cannot send a request to the engine") : 0;
}

/* Reads one line into c->line (NUL-terminated, without '\n') and returns its length. */
static ssize_t control_read_line(struct control *c, struct error **err)
{
    for (;;) {
        char *end = memchr(c->line, '\n', c->used);
        ssize_t n;

        if (end) {
            *end = '\0';
            return end - c->line;
        }
        if (c->used == CONTROL_LINE_MAX)
            return error_set(err, EPROTO, "the engine sent a line of more than %d bytes",
                             CONTROL_LINE_MAX);
        n = recv(c->fd, c->line + c->used, CONTROL_LINE_MAX - c->used, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, errno, "cannot read the engine's answer");
        if (n == 0)
            return error_set(err, ECONNRESET, "the engine ended the connection before it answered;"
                                              " see its log and run the command again");
        c->used += (size_t)n;
    }
}

static int control_read(struct control *c, json_t **ret_message, struct error **err)
{
    ssize_t length = control_read_line(c, err);

    if (length < 0)
        return (int)length;
    *ret_message = json_loadb(c->line, (size_t)length, 0, NULL);
    c->used -= (size_t)length + 1;
    memmove(c->line, c->line + length + 1, c->used);
    if (!json_is_object(*ret_message)) {
        json_decref(*ret_message);
        return error_set(err, EPROTO, "the engine sent something that is not a JSON object");
    }
    return 0;
}

/* 1: the request is finished. */
static int control_handle(const json_t *message, control_event_fn *event, void *context,
                          json_t **ret_result, struct error **err)
{
    json_t *failure = json_object_get(message, "error");
    json_t *result = json_object_get(message, "result");
    int r;

    if (failure) {
        int code = (int)json_integer_value(json_object_get(failure, "code"));
        const char *text = json_string_value(json_object_get(failure, "message"));

        return error_set(err, code > 0 ? code : EIO, "%s", text ? text : "the engine failed");
    }
    if (result) {
        if (ret_result)
            *ret_result = json_incref(result);
        return 1;
    }
    if (event && json_object_get(message, "event")) {
        r = event(message, context);
        if (r < 0)
            return error_set_errno(err, -r, "gave up waiting for the engine");
    }
    return 0;
}

int control_call(struct control *c, const char *verb, json_t *args, control_event_fn *event,
                 void *context, json_t **ret_result, struct error **err)
{
    json_int_t id = ++c->last_id;
    json_t *message = json_pack("{s:I, s:s, s:O*}", "id", id, "verb", verb, "args", args);
    int r = message ? control_send(c, message, err)
                    : error_set_errno(err, ENOMEM, "cannot write a request to the engine");

    json_decref(message);
    while (r == 0) {
        r = control_read(c, &message, err);
        if (r < 0)
            break;
        if (json_integer_value(json_object_get(message, "id")) == id)
            r = control_handle(message, event, context, ret_result, err);
        json_decref(message);
    }
    return r < 0 ? r : 0;
}
