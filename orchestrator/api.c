/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api-handlers.h"

#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/logkind.h"
#include "orchestrator/metrics.h"
#include "orchestrator/rehearsal.h"
#include "orchestrator/version.h"

static int get_version(struct daemon *d, const struct api_request *request, const json_t *body,
                       const char *name, struct api_answer *answer, struct error **err)
{
    answer->body = json_pack("{s:s, s:s, s:i}", "program", "slipwayd", "version", SLIPWAY_VERSION,
                             "api", 1);
    return 0;
}

static int get_sources(struct daemon *d, const struct api_request *request, const json_t *body,
                       const char *name, struct api_answer *answer, struct error **err)
{
    json_t *sources;
    int r;

    events_begin(d->events);
    r = sources_list(d, &sources, err);
    if (r == 0) {
        answer->body = json_pack("{s:o}", "sources", sources);
        events_stamp(d->events, answer->body);
    }
    events_end(d->events);
    return r;
}

static int post_sources(struct daemon *d, const struct api_request *request, const json_t *body,
                        const char *name, struct api_answer *answer, struct error **err)
{
    return sources_add(d, body, &answer->body, err);
}

static int delete_source(struct daemon *d, const struct api_request *request, const json_t *body,
                         const char *name, struct api_answer *answer, struct error **err)
{
    return sources_remove(d, name, err);
}

static int get_vms(struct daemon *d, const struct api_request *request, const json_t *body,
                   const char *name, struct api_answer *answer, struct error **err)
{
    json_t *vms;
    int r = sources_list_vms(d, name, &vms, err);

    if (r == 0)
        answer->body = json_pack("{s:o}", "vms", vms);
    return r;
}

static int get_migrations(struct daemon *d, const struct api_request *request, const json_t *body,
                          const char *name, struct api_answer *answer, struct error **err)
{
    LOCK_FOR_SCOPE(&d->lock);
    answer->body = json_pack("{s:o}", "migrations", migrations_json_locked(d));
    events_stamp(d->events, answer->body);
    return 0;
}

static int post_migrations(struct daemon *d, const struct api_request *request,
                           const json_t *body, const char *name, struct api_answer *answer,
                           struct error **err)
{
    return verb_create(d, body, &answer->body, err);
}

static int get_migration(struct daemon *d, const struct api_request *request, const json_t *body,
                         const char *name, struct api_answer *answer, struct error **err)
{
    struct job *job;

    LOCK_FOR_SCOPE(&d->lock);
    job = job_find_locked(d, name);
    if (!job)
        return error_set(err, ENOENT, "there is no migration named '%s'", name);
    answer->body = job_json_locked(d, job);
    return 0;
}

static int patch_migration(struct daemon *d, const struct api_request *request,
                           const json_t *body, const char *name, struct api_answer *answer,
                           struct error **err)
{
    return verb_change(d, name, body, &answer->body, err);
}

static int delete_migration(struct daemon *d, const struct api_request *request,
                            const json_t *body, const char *name, struct api_answer *answer,
                            struct error **err)
{
    static const struct field fields[] = {{"vm", FIELD_BOOL, false}, {NULL}};
    int r = body ? fields_check(body, fields, "a removal", err) : 0;

    return r < 0 ? r : verb_remove(d, name, field_bool(body, "vm", false), err);
}

static int post_sync(struct daemon *d, const struct api_request *request, const json_t *body,
                     const char *name, struct api_answer *answer, struct error **err)
{
    return verb_run(d, name, VERB_SYNC, NULL, &answer->body, err);
}

static int post_cutover(struct daemon *d, const struct api_request *request, const json_t *body,
                        const char *name, struct api_answer *answer, struct error **err)
{
    return verb_run(d, name, VERB_CUTOVER, body, &answer->body, err);
}

static int post_cancel(struct daemon *d, const struct api_request *request, const json_t *body,
                       const char *name, struct api_answer *answer, struct error **err)
{
    return verb_run(d, name, VERB_CANCEL, NULL, &answer->body, err);
}

static int post_start(struct daemon *d, const struct api_request *request, const json_t *body,
                      const char *name, struct api_answer *answer, struct error **err)
{
    return verb_run(d, name, VERB_START, NULL, &answer->body, err);
}

static int post_commit(struct daemon *d, const struct api_request *request, const json_t *body,
                       const char *name, struct api_answer *answer, struct error **err)
{
    return verb_run(d, name, VERB_COMMIT, NULL, &answer->body, err);
}

static int post_rollback(struct daemon *d, const struct api_request *request, const json_t *body,
                         const char *name, struct api_answer *answer, struct error **err)
{
    return verb_run(d, name, VERB_ROLLBACK, body, &answer->body, err);
}

static int post_rehearsal(struct daemon *d, const struct api_request *request, const json_t *body,
                          const char *name, struct api_answer *answer, struct error **err)
{
    return rehearsal_begin(d, name, body, &answer->body, err);
}

static int delete_rehearsal(struct daemon *d, const struct api_request *request,
                            const json_t *body, const char *name, struct api_answer *answer,
                            struct error **err)
{
    return rehearsal_stop(d, name, &answer->body, err);
}

static int get_rehearsals(struct daemon *d, const struct api_request *request, const json_t *body,
                          const char *name, struct api_answer *answer, struct error **err)
{
    json_t *list;
    int r = rehearsal_list(d, name, &list, err);

    if (r == 0)
        answer->body = json_pack("{s:o}", "rehearsals", list);
    return r;
}

static int get_report(struct daemon *d, const struct api_request *request, const json_t *body,
                      const char *name, struct api_answer *answer, struct error **err)
{
    return report_make(d, name, &answer->body, err);
}

static int get_events(struct daemon *d, const struct api_request *request, const json_t *body,
                      const char *name, struct api_answer *answer, struct error **err)
{
    if (name) {
        LOCK_FOR_SCOPE(&d->lock);
        if (!job_find_locked(d, name))
            return error_set(err, ENOENT, "there is no migration named '%s'", name);
    }
    return event_stream_open(d->events, name, request->since, &answer->stream, err);
}

static const char no_route[] = "";

enum body_use { BODY_NONE, BODY_ALLOWED, BODY_WANTED };

static const struct field no_fields[] = {{NULL}};

static const struct route {
    const char *method;
    const char *path;
    unsigned status; /* on success */
    enum body_use body;
    handler_fn *handler;
} routes[] = {
    {"GET", "/v1/version", 200, BODY_NONE, get_version},
    {"GET", "/v1/status", 200, BODY_NONE, get_status},
    {"GET", "/v1/metrics", 200, BODY_NONE, get_metrics},
    {"GET", "/v1/sources", 200, BODY_NONE, get_sources},
    {"POST", "/v1/sources", 201, BODY_WANTED, post_sources},
    {"DELETE", "/v1/sources/{name}", 204, BODY_NONE, delete_source},
    {"GET", "/v1/sources/{name}/vms", 200, BODY_NONE, get_vms},
    {"GET", "/v1/migrations", 200, BODY_NONE, get_migrations},
    {"POST", "/v1/migrations", 201, BODY_WANTED, post_migrations},
    {"GET", "/v1/migrations/{name}", 200, BODY_NONE, get_migration},
    {"PATCH", "/v1/migrations/{name}", 200, BODY_WANTED, patch_migration},
    {"DELETE", "/v1/migrations/{name}", 204, BODY_ALLOWED, delete_migration},
    {"POST", "/v1/migrations/{name}/sync", 202, BODY_NONE, post_sync},
    {"POST", "/v1/migrations/{name}/cutover", 202, BODY_ALLOWED, post_cutover},
    {"POST", "/v1/migrations/{name}/cancel", 202, BODY_NONE, post_cancel},
    {"POST", "/v1/migrations/{name}/start", 202, BODY_NONE, post_start},
    {"POST", "/v1/migrations/{name}/commit", 202, BODY_NONE, post_commit},
    {"POST", "/v1/migrations/{name}/rollback", 202, BODY_ALLOWED, post_rollback},
    {"POST", "/v1/migrations/{name}/rehearsal", 202, BODY_ALLOWED, post_rehearsal},
    {"DELETE", "/v1/migrations/{name}/rehearsal", 202, BODY_NONE, delete_rehearsal},
    {"GET", "/v1/migrations/{name}/rehearsals", 200, BODY_NONE, get_rehearsals},
    {"GET", "/v1/migrations/{name}/explain", 200, BODY_NONE, get_explain},
    {"GET", "/v1/schedule", 200, BODY_NONE, get_schedule},
    {"GET", "/v1/migrations/{name}/forecast", 200, BODY_NONE, get_forecast},
    {"GET", "/v1/migrations/{name}/report", 200, BODY_NONE, get_report},
    {"GET", "/v1/migrations/{name}/events", 200, BODY_NONE, get_events},
    {"POST", "/v1/migrations/{name}/pause", 202, BODY_NONE, post_pause},
    {"POST", "/v1/migrations/{name}/resume", 202, BODY_NONE, post_resume},
    {"GET", "/v1/limits", 200, BODY_NONE, get_limits},
    {"PUT", "/v1/limits", 200, BODY_WANTED, put_limit},
    {"DELETE", "/v1/limits", 204, BODY_WANTED, delete_limit},
    {"GET", "/v1/plans", 200, BODY_NONE, get_plans},
    {"POST", "/v1/plans", 200, BODY_WANTED, post_plans},
    {"POST", "/v1/plans/check", 200, BODY_WANTED, post_plans_check},
    {"POST", "/v1/plans/simulate", 200, BODY_WANTED, post_plans_simulate},
    {"GET", "/v1/plans/{name}", 200, BODY_NONE, get_plan},
    {"DELETE", "/v1/plans/{name}", 204, BODY_NONE, delete_plan},
    {"GET", "/v1/groups", 200, BODY_NONE, get_groups},
    {"POST", "/v1/groups/{name}/sync", 202, BODY_NONE, post_group_sync},
    {"POST", "/v1/groups/{name}/cutover", 202, BODY_ALLOWED, post_group_cutover},
    {"POST", "/v1/groups/{name}/commit", 202, BODY_NONE, post_group_commit},
    {"POST", "/v1/groups/{name}/rollback", 202, BODY_ALLOWED, post_group_rollback},
    {"GET", "/v1/events", 200, BODY_NONE, get_events},
};

void api_dump_routes(FILE *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
        fprintf(out, "%s %s\n", routes[i].method, routes[i].path);
}

/* Compares path with a pattern; *ret_name (freed by the caller) is what stands for {name}. */
static bool path_matches(const char *pattern, const char *path, char **ret_name)
{
    const char *hole = strchr(pattern, '{');
    size_t before = hole ? (size_t)(hole - pattern) : strlen(pattern), length;

    if (!hole)
        return strcmp(pattern, path) == 0;
    if (strncmp(pattern, path, before) != 0)
        return false;
    length = strcspn(path + before, "/");
    if (length == 0 || strcmp(path + before + length, hole + strlen("{name}")) != 0)
        return false;
    *ret_name = strndup(path + before, length);
    return *ret_name != NULL;
}

unsigned api_status(int code)
{
    switch (code) {
    case EINVAL:
    case ENAMETOOLONG:
        return 400;
    case EACCES:
        return 403;
    case ENOENT:
        return 404;
    case EOPNOTSUPP:
        return 405;
    case EEXIST:
    case EPERM:
    case EBUSY:
    case EROFS:
    case ECANCELED:
        return 409;
    case E2BIG:
        return 413;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENOTCONN:
    case ENXIO:
        return 502;
    case ETIMEDOUT:
        return 504;
    case ENOSPC:
        return 507;
    default:
        return 500;
    }
}

void api_fail(struct api_answer *answer, struct error *err)
{
    int code = error_code(err) ? error_code(err) : EIO;
    const char *name = strerrorname_np(code);
    _cleanup_json_ json_t *told = answer->body; /* what the handler says besides the sentence */
    json_t *problems = json_object_get(told, "problems");

    answer->status = api_status(code);
    answer->body = json_pack("{s:{s:i, s:s, s:s, s:O*}}", "error", "code", code, "name",
                             name ? name : "EIO", "message", error_text(err), "problems",
                             problems);
    error_free(err);
}

static int body_read(const struct route *route, const struct api_request *request,
                     json_t **ret_body, struct error **err)
{
    json_error_t where;
    int r = 0;

    if (request->body_length == 0 && route->body != BODY_WANTED)
        return 0;
    *ret_body = json_loadb(request->body ? request->body : "", request->body_length,
                           JSON_REJECT_DUPLICATES, &where);
    if (!*ret_body)
        return error_set(err, EINVAL, "the body is not valid JSON: %s (line %d, column %d)",
                         where.text, where.line, where.column);
    if (route->body == BODY_NONE)
        r = fields_check(*ret_body, no_fields, "this request", err);
    else if (!json_is_object(*ret_body))
        r = error_set(err, EINVAL, "the body must be a JSON object");
    return r;
}

static int route_call(struct daemon *d, const struct route *route,
                      const struct api_request *request, const char *name,
                      struct api_answer *answer, struct error **err)
{
    _cleanup_json_ json_t *body = NULL;
    int r = body_read(route, request, &body, err);

    if (r == 0)
        r = route->handler(d, request, body, name, answer, err);
    answer->status = route->status;
    return r;
}

/* Who asked for what, before it is done: also when slipwayd ends over it.  What a migration's own
 * events would take with them when it is forgotten stands without its name. */
static void record_write(struct daemon *d, const struct api_request *request, const char *name)
{
    bool of_migration = name && strcmp(request->method, "DELETE") != 0 &&
                        str_starts(request->path, "/v1/migrations/");
    json_t *event = json_pack("{s:s, s:s, s:s, s:s}", "event", "request", "method",
                              request->method, "path", request->path, "who", request->peer->name);

    if (!event) /* a path that is no text; there is nothing at it */
        return;
    if (request->peer->uid >= 0)
        json_object_set_new(event, "uid", json_integer(request->peer->uid));
    events_record(d->events, of_migration ? name : NULL, event);
}

static int route_take(struct daemon *d, const struct route *route,
                      const struct api_request *request, const char *name,
                      struct api_answer *answer, struct error **err)
{
    answer->route = route->path;
    if (access_needed(request->method) == ACCESS_WRITE)
        record_write(d, request, name);
    return route_call(d, route, request, name, answer, err);
}

/* The route that fits; fails with what there is instead. */
static int route_find(struct daemon *d, const struct api_request *request,
                      struct api_answer *answer, struct error **err)
{
    size_t used = 0;

    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        _cleanup_free_ char *name = NULL;

        if (!path_matches(routes[i].path, request->path, &name))
            continue;
        if (strcmp(routes[i].method, request->method) == 0)
            return route_take(d, &routes[i], request, name, answer, err);
        used += (size_t)snprintf(answer->allow_text + used, sizeof(answer->allow_text) - used,
                                 "%s%s", used ? ", " : "", routes[i].method);
    }
    if (!used)
        return error_set(err, ENOENT, "there is nothing at %s", request->path);
    answer->allow = answer->allow_text;
    return error_set(err, EOPNOTSUPP, "%s is not possible on %s: use %s", request->method,
                     request->path, answer->allow_text);
}

void api_handle(struct daemon *d, const struct api_request *request, struct api_answer *answer)
{
    struct error *err = NULL;
    int r = access_check(request->peer, request->method, &err);

    if (r == 0)
        r = route_find(d, request, answer, &err);
    if (r == -EACCES)
        log_about(LOG_LEVEL_WARNING, LOG_KIND_REFUSED, NULL, NULL, "%s %s by %s: %s",
                  request->method, request->path, request->peer ? request->peer->name : "nobody",
                  error_text(err));
    else if (access_needed(request->method) == ACCESS_WRITE)
        log_about(LOG_LEVEL_INFO, LOG_KIND_REQUEST, NULL, NULL, "%s %s by %s: %s",
                  request->method, request->path, request->peer->name,
                  r < 0 ? error_text(err) : "taken");
    if (r < 0)
        api_fail(answer, err);
    metrics_count_request(d->metrics, request->method, answer->route ? answer->route : no_route,
                          answer->status);
}
