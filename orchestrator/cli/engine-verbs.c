/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/engine.h"
#include "orchestrator/enginehost.h"

int session_open(struct session *s, const struct engine_args *args, struct error **err)
{
    *s = (struct session){.args = args};
    return engine_host_attach(args->store, &s->control, &s->started, err);
}

int session_event(const json_t *event, void *context)
{
    struct session *s = context;
    const char *phase = json_string_value(json_object_get(event, "phase"));

    if (s->args->json) {
        char *text = json_dumps(event, JSON_COMPACT);

        fprintf(stderr, "%s\n", text ? text : "{}");
        free(text);
        return 0;
    }
    if (!s->progress)
        s->progress = progress_new(false);
    progress_update(s->progress, phase ? phase : "",
                    (uint64_t)json_integer_value(json_object_get(event, "done_bytes")),
                    (uint64_t)json_integer_value(json_object_get(event, "total_bytes")));
    return 0;
}

void session_event_end(struct session *s)
{
    if (s->progress)
        progress_end(s->progress);
    s->progress = NULL;
}

int session_call(struct session *s, const char *verb, json_t *args, json_t **ret_result,
                 struct error **err)
{
    int r = control_call(s->control, verb, args, session_event, s, ret_result, err);

    json_decref(args);
    session_event_end(s);
    return r;
}

/* An engine that only lives for this command gets the time to fold what the command brought. */
static void wait_for_fold(struct session *s)
{
    for (;;) {
        json_t *status = NULL;
        bool more = control_call(s->control, "status", NULL, NULL, NULL, &status, NULL) == 0 &&
                    json_is_true(json_object_get(status, "fold_pending")) &&
                    !json_is_true(json_object_get(status, "failed"));

        json_decref(status);
        if (!more)
            return;
        clock_sleep_ns(50 * NS_PER_MS);
    }
}

int session_close(struct session *s, int r, struct error **err)
{
    if (s->started && r == 0 && !s->brief)
        wait_for_fold(s);
    control_close(s->control);
    if (s->started) {
        int stopped = engine_host_stop(s->args->store, r == 0 ? err : NULL);

        r = r < 0 ? r : stopped;
    }
    return r;
}

void session_print(json_t *j)
{
    json_dumpf(j, stdout, JSON_INDENT(2));
    putchar('\n');
}

static json_int_t number(const json_t *j, const char *name)
{
    return json_integer_value(json_object_get(j, name));
}

/* ---- create, serve ---- */

/* "/path:10G" → path and bytes; a colon that no size follows belongs to the path. */
static int split_target(const char *text, char **ret_path, uint64_t *ret_size)
{
    const char *colon = strrchr(text, ':');
    _cleanup_free_ char *here = getcwd(NULL, 0);
    _cleanup_free_ char *path = NULL;

    *ret_size = 0;
    if (colon && str_to_bytes(colon + 1, ret_size) == 0)
        path = strndup(text, (size_t)(colon - text));
    else
        path = str_dup(text);
    if (!path || !here)
        return -ENOMEM;
    *ret_path = path[0] == '/' ? str_dup(path) : str_format("%s/%s", here, path);
    return 0;
}

int engine_verb_create(const struct engine_args *a, struct error **err)
{
    struct engine_disk_spec specs[ENGINE_DISKS_MAX] = {0};
    char *paths[ENGINE_DISKS_MAX] = {0};
    const char *slash = strrchr(a->store, '/');
    int r = 0;

    if (a->disk_count == 0)
        return error_set(err, EINVAL, "create needs at least one --disk NAME=TARGET[:SIZE]");
    for (size_t i = 0; r == 0 && i < a->disk_count; i++) {
        r = split_target(a->disks[i].value, &paths[i], &specs[i].size);
        specs[i].name = a->disks[i].name;
        specs[i].target = paths[i];
        specs[i].preseed = a->preseed;
        specs[i].keep = a->keep > 0 ? (unsigned)a->keep : 0;
    }
    if (r < 0)
        error_set_errno(err, -r, "cannot make the store %s", a->store);
    else
        r = engine_host_create(a->store, a->vm_name ? a->vm_name : slash + 1, specs, a->disk_count,
                               err);
    for (size_t i = 0; i < a->disk_count; i++)
        free(paths[i]);
    if (r < 0)
        return r;
    if (a->json)
        return engine_verb_status(a, err);
    printf("%s: a store for %zu disk%s; 'slipway engine sync' fills it\n", a->store,
           a->disk_count, a->disk_count == 1 ? "" : "s");
    return 0;
}

/* engine_host_argv() leaves room for them. */
static void add_parameters(const struct engine_args *a, char **argv)
{
    size_t n = 0;

    while (argv[n])
        n++;
    if (a->accept_loss)
        argv[n++] = str_dup("accept-loss=true");
    if (a->live_folder)
        argv[n++] = str_format("live=%s", a->live_folder);
    if (a->source_wait_s >= 0)
        argv[n++] = str_format("source-wait=%.3f", a->source_wait_s);
}

int engine_verb_serve(const struct engine_args *a, struct error **err)
{
    _cleanup_free_ char *control_path = str_format("%s/%s", a->store, CONTROL_SOCKET_NAME);
    _cleanup_free_ char *nbd_path =
        a->socket ? str_dup(a->socket) : str_format("%s/%s", a->store, NBD_SOCKET_NAME);
    struct control *control = NULL;
    json_t *status = NULL;
    char **argv;
    int r;

    if (control_connect(control_path, &control, NULL) == 0) {
        control_close(control);
        return error_set(err, EBUSY, "an engine serves %s already", a->store);
    }
    r = engine_host_check_path(a->store, err);
    if (r == 0)
        r = engine_host_rest_status(a->store, &status, err);
    json_decref(status);
    if (r < 0)
        return r;
    argv = engine_host_argv(a->store, nbd_path, err);
    if (!argv)
        return -ENOENT;
    add_parameters(a, argv);
    engine_host_remove_stale_socket(nbd_path);
    fprintf(stderr, "serving %s on %s (control: %s)\n", a->store, nbd_path, control_path);
    execvp(argv[0], argv);
    r = error_set_errno(err, errno, "cannot run %s", argv[0]);
    engine_host_argv_free(argv);
    return r;
}

/* ---- status ---- */

/* Where the rest of a hydrating disk comes from, and what is in the way. */
static void print_hydration(const json_t *h)
{
    static const char *const reasons[] = {"error", "setback"};
    char rate[32];

    if (!h)
        return;
    printf("    source %s, %s/s now; %" JSON_INTEGER_FORMAT " requests waited, "
           "%" JSON_INTEGER_FORMAT " failed\n", json_string_value(json_object_get(h, "source")),
           str_from_bytes((uint64_t)number(h, "rate_bytes_s"), rate, sizeof(rate)),
           number(h, "waits"), number(h, "failed_waits"));
    for (size_t i = 0; i < 2; i++) {
        const char *reason = json_string_value(json_object_get(h, reasons[i]));

        if (reason && *reason)
            printf("    %s\n", reason);
    }
}

static void print_disk(const json_t *d)
{
    char size[32], missing[32];
    const json_t *m = json_object_get(d, "missing_bytes");

    printf("  %-12s %10s  %s", json_string_value(json_object_get(d, "name")),
           str_from_bytes((uint64_t)number(d, "size_bytes"), size, sizeof(size)),
           json_string_value(json_object_get(d, "target")));
    if (m)
        printf("  %s to come",
               str_from_bytes((uint64_t)json_integer_value(m), missing, sizeof(missing)));
    if (json_array_size(json_object_get(d, "layers")) > 0)
        printf("  %zu layer(s) to fold", json_array_size(json_object_get(d, "layers")));
    putchar('\n');
    print_hydration(json_object_get(d, "hydration"));
}

static void print_status(const json_t *s)
{
    const json_t *disks = json_object_get(s, "disks"), *sync = json_object_get(s, "sync");
    const json_t *generation = json_object_get(s, "generation");

    printf("%s: %s%s", json_string_value(json_object_get(s, "vm")),
           json_string_value(json_object_get(s, "mode")),
           json_is_true(json_object_get(s, "failed")) ? " (FAILED, see engine.log)" : "");
    if (json_is_integer(generation))
        printf(", generation %" JSON_INTEGER_FORMAT " (%s)", json_integer_value(generation),
               json_string_value(json_object_get(s, "snapshot")));
    printf(json_is_true(json_object_get(s, "running")) ? ", engine running\n"
                                                       : ", engine not running\n");
    for (size_t i = 0; i < json_array_size(disks); i++)
        print_disk(json_array_get(disks, i));
    if (json_is_object(sync))
        printf("  sync of %s: %s, %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " bytes\n",
               json_string_value(json_object_get(sync, "snapshot")),
               json_string_value(json_object_get(sync, "phase")), number(sync, "done_bytes"),
               number(sync, "total_bytes"));
    engine_print_failback(s);
    engine_print_limits(s);
}

int engine_verb_status(const struct engine_args *a, struct error **err)
{
    _cleanup_free_ char *control_path = str_format("%s/%s", a->store, CONTROL_SOCKET_NAME);
    _cleanup_control_ struct control *control = NULL;
    json_t *status = NULL;
    int r;

    if (control_connect(control_path, &control, NULL) == 0)
        r = control_call(control, "status", NULL, NULL, NULL, &status, err);
    else
        r = engine_host_rest_status(a->store, &status, err);
    if (r < 0)
        return r;
    if (a->json)
        session_print(status);
    else
        print_status(status);
    json_decref(status);
    return 0;
}

/* ---- sync ---- */

static const char *bitmap_of(const struct engine_args *a, const char *disk)
{
    for (size_t i = 0; i < a->bitmap_count; i++)
        if (strcmp(a->bitmaps[i].name, disk) == 0)
            return a->bitmaps[i].value;
    return NULL;
}

static int check_bitmaps(const struct engine_args *a, struct error **err)
{
    for (size_t i = 0; i < a->bitmap_count; i++) {
        bool known = false;

        for (size_t k = 0; k < a->disk_count; k++)
            known |= strcmp(a->bitmaps[i].name, a->disks[k].name) == 0;
        if (!known)
            return error_set(err, EINVAL, "--bitmap names disk '%s', but no URI is given for it",
                             a->bitmaps[i].name);
    }
    return a->disk_count ? 0 : error_set(err, EINVAL, "sync needs NAME=NBD-URI for each disk");
}

static json_t *sync_request(const struct engine_args *a)
{
    json_t *disks = json_array(), *q = json_object();

    for (size_t i = 0; i < a->disk_count; i++)
        json_array_append_new(disks, json_pack("{s:s, s:s, s:s*}", "name", a->disks[i].name, "uri",
                                               a->disks[i].value, "bitmap",
                                               bitmap_of(a, a->disks[i].name)));
    json_object_set_new(q, "disks", disks);
    if (a->snapshot)
        json_object_set_new(q, "snapshot", json_string(a->snapshot));
    if (a->compare || a->compare_bytes)
        json_object_set_new(q, "compare", json_string(a->compare_bytes ? "bytes" : "digest"));
    if (a->connections > 0)
        json_object_set_new(q, "connections", json_integer(a->connections));
    return q;
}

static void print_pass(const json_t *p)
{
    char bytes[32], zero[32], changed[32], written[32], rate[32];
    double seconds = json_number_value(json_object_get(p, "seconds"));
    uint64_t read = (uint64_t)number(p, "bytes");

    printf("  %-12s %s copied, %s zero, %s changed, %s written, %.1f s",
           json_string_value(json_object_get(p, "disk")),
           str_from_bytes(read, bytes, sizeof(bytes)),
           str_from_bytes((uint64_t)number(p, "zero_bytes"), zero, sizeof(zero)),
           str_from_bytes((uint64_t)number(p, "changed_bytes"), changed, sizeof(changed)),
           str_from_bytes((uint64_t)number(p, "written_bytes"), written, sizeof(written)), seconds);
    if (seconds > 0 && read > 0)
        printf(", %s/s", str_from_bytes((uint64_t)((double)read / seconds), rate, sizeof(rate)));
    putchar('\n');
}

static void print_sync(const struct engine_args *a, const json_t *result)
{
    const json_t *passes = json_object_get(result, "passes");

    printf("generation %" JSON_INTEGER_FORMAT " is %s%s\n", number(result, "generation"),
           json_string_value(json_object_get(result, "snapshot")),
           json_is_true(json_object_get(result, "already")) ? " (was committed before)" : "");
    for (size_t i = 0; i < json_array_size(passes); i++)
        print_pass(json_array_get(passes, i));
    if (!a->snapshot)
        fprintf(stderr, "note: without --snapshot ID an interrupted sync starts over\n");
}

int engine_verb_sync(const struct engine_args *a, struct error **err)
{
    struct session s;
    json_t *result = NULL;
    int r = check_bitmaps(a, err);

    if (r == 0)
        r = session_open(&s, a, err);
    if (r < 0)
        return r;
    r = session_call(&s, "sync", sync_request(a), &result, err);
    if (r == 0 && a->json)
        session_print(result);
    else if (r == 0)
        print_sync(a, result);
    json_decref(result);
    return session_close(&s, r, err);
}

/* ---- cancel, stop ---- */

int session_simple(const struct engine_args *a, const char *verb, json_t *request,
                   const char *done, struct error **err)
{
    struct session s;
    json_t *result = NULL;
    int r = session_open(&s, a, err);

    if (r < 0) {
        json_decref(request);
        return r;
    }
    r = session_call(&s, verb, request, &result, err);
    if (r == 0 && a->json)
        session_print(result);
    else if (r == 0)
        printf("%s: %s\n", a->store, done);
    json_decref(result);
    return session_close(&s, r, err);
}

/* A draft lives in its engine, and a cancel means a sync in one: neither starts an engine. */
int session_need_engine(const struct engine_args *a, struct error **err)
{
    _cleanup_free_ char *control_path = str_format("%s/%s", a->store, CONTROL_SOCKET_NAME);
    struct control *control = NULL;

    if (control_connect(control_path, &control, NULL) < 0)
        return error_set(err, EPERM, "no engine serves %s; start one with 'slipway engine serve "
                                     "%s'", a->store, a->store);
    control_close(control);
    return 0;
}

int engine_verb_cancel(const struct engine_args *a, struct error **err)
{
    int r = session_need_engine(a, err);

    return r < 0 ? r : session_simple(a, "cancel", NULL, "cancelled", err);
}

int engine_verb_stop(const struct engine_args *a, struct error **err)
{
    _cleanup_free_ char *vm_path = str_format("%s/vm.json", a->store);
    int r = access(vm_path, F_OK) == 0 ? engine_host_stop(a->store, err)
                                       : error_set(err, ENOENT, "%s is not a store (it has no "
                                                   "vm.json), so it has no engine", a->store);

    if (r == 0 && a->json)
        printf("{}\n");
    else if (r == 0)
        printf("%s: the engine has ended\n", a->store);
    return r;
}
