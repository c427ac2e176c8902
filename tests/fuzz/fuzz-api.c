/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the API: "METHOD PATH" in the first line, then the body.  A daemon on fakes whose only
 * migration is done; it is ending, so that no request starts a thread. */
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/api.h"
#include "orchestrator/fields.h"
#include "orchestrator/governor.h"
#include "orchestrator/metrics.h"
#include "orchestrator/params.h"
#include "orchestrator/scheduler.h"
#include "orchestrator/secrets.h"
#include "tests/fuzz/fuzz.h"

static struct options options = {.pool = "/nowhere", .max_syncs = 1, .socket_path = "/nowhere/s",
                                 .morph = "/nowhere/morph"};
static struct daemon d;
static struct access_peer peer = {.role = ACCESS_WRITE, .uid = 0, .name = "root"};
static char dir[64];

static void end(void)
{
    fdio_remove_tree(dir);
}

static void add_done_migration(void)
{
    _cleanup_json_ json_t *params = NULL, *body = json_pack("{s:s, s:s}", "source", "old", "vm",
                                                            "web");
    _cleanup_json_ json_t *row = NULL;

    FUZZ_ASSERT(params_complete(body, options.pool, &params, NULL) == 0);
    row = json_pack("{s:s, s:s, s:s, s:s, s:O, s:{s:[]}, s:{}, s:i, s:i}", "name", "web", "source",
                    "old", "vm", "web", "state", "done", "params", params, "description", "disks",
                    "facts", "error_code", 0, "created_ns", 1);
    FUZZ_ASSERT(journal_put_migration(d.journal, row, NULL, NULL, NULL, NULL) == 0);
    FUZZ_ASSERT(jobs_load(&d, NULL) == 0);
}

/* In memory where that can be had: each request that changes something is journalled. */
static void begin(void)
{
    _cleanup_free_ char *secrets = NULL;

    log_open("fuzz", LOG_LEVEL_ERROR);
    strcpy(dir, "/dev/shm/fuzz-api-XXXXXX");
    if (!mkdtemp(dir)) {
        strcpy(dir, "/tmp/fuzz-api-XXXXXX");
        FUZZ_ASSERT(mkdtemp(dir));
    }
    atexit(end);
    secrets = str_format("%s/secrets", dir);
    fdio_make_dirs(secrets, 0700);
    options.state_dir = dir;
    d.options = &options;
    pthread_mutex_init(&d.lock, NULL);
    pthread_cond_init(&d.changed, NULL);
    FUZZ_ASSERT(journal_open(dir, &d.journal, NULL) == 0);
    FUZZ_ASSERT(secrets_open(secrets, NULL, &d.secrets, NULL) == 0);
    d.events = events_new(d.journal);
    d.metrics = metrics_new();
    FUZZ_ASSERT(governor_open(&d, NULL) == 0);
    add_done_migration();
    FUZZ_ASSERT(scheduler_start(&d, NULL) == 0);
    pthread_mutex_lock(&d.lock);
    d.stopping = true;
    pthread_cond_broadcast(&d.changed);
    pthread_mutex_unlock(&d.lock);
}

/* Takes back what a request has made, so that the next one finds the same. */
static void forget(void)
{
    _cleanup_json_ json_t *sources = NULL, *limits = governor_list(&d);
    json_t *item;
    size_t i;

    FUZZ_ASSERT(sources_list(&d, &sources, NULL) == 0);
    json_array_foreach(sources, i, item)
        FUZZ_ASSERT(sources_remove(&d, field_string(item, "name", ""), NULL) == 0);
    json_array_foreach(json_object_get(limits, "limits"), i, item) {
        _cleanup_json_ json_t *which = json_pack("{s:O, s:O*}", "scope",
                                                 json_object_get(item, "scope"), "name",
                                                 json_object_get(item, "name"));

        FUZZ_ASSERT(governor_clear(&d, which, NULL) == 0);
    }
    FUZZ_ASSERT(!job_find_locked(&d, "web") || !d.jobs->next);
}

static void check(const struct api_answer *answer)
{
    static const unsigned known[] = {200, 201, 202, 204, 400, 403, 404, 405, 409, 413, 500, 502,
                                     504, 507};
    bool listed = false;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        listed = listed || answer->status == known[i];
    FUZZ_ASSERT(listed);
    FUZZ_ASSERT(answer->status != 500); /* nothing here can break but slipwayd itself */
    if (answer->status >= 400) {
        const json_t *error = json_object_get(answer->body, "error");

        FUZZ_ASSERT(*field_string(error, "message", "") && field_integer(error, "code", 0) > 0);
        FUZZ_ASSERT(!answer->stream && !answer->text);
    } else if (answer->status != 204) {
        FUZZ_ASSERT(answer->body || answer->stream || answer->text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = memchr(data, '\n', size);
    size_t head = newline ? (size_t)(newline - data) : size;
    _cleanup_free_ char *line = strndup((const char *)data, head), *body = NULL;
    struct api_request request = {.peer = &peer};
    struct api_answer answer = {0};
    char *space = strchr(line, ' '), *query;

    if (!d.journal)
        begin();
    if (!space)
        return 0;
    *space = '\0';
    query = strchr(space + 1, '?');
    if (query) {
        *query = '\0';
        request.since = str_starts(query + 1, "since=") ? query + 7 : NULL;
    }
    request.method = line;
    request.path = space + 1;
    request.body_length = newline ? size - head - 1 : 0;
    body = mem_new(request.body_length + 1, 1);
    if (request.body_length)
        memcpy(body, newline + 1, request.body_length);
    request.body = body;
    api_handle(&d, &request, &answer);
    check(&answer);
    json_decref(answer.body);
    event_stream_close(answer.stream);
    free(answer.text);
    if (answer.status < 400)
        forget();
    return 0;
}
