/* SPDX-License-Identifier: Apache-2.0 */
/* Routing, bodies and status codes, without HTTP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/api.h"
#include "orchestrator/fields.h"
#include "orchestrator/secrets.h"

static struct options options = {.pool = "/nowhere", .max_syncs = 1};
static struct daemon daemon_;
static struct access_peer peer = {.role = ACCESS_WRITE, .uid = 0, .name = "root"};
static char dir[64];

static int set_up(void **state)
{
    _cleanup_free_ char *secrets = NULL;

    strcpy(dir, "/tmp/test-api-XXXXXX");
    assert_non_null(mkdtemp(dir));
    secrets = str_format("%s/secrets", dir);
    fdio_make_dirs(secrets, 0700);
    options.state_dir = dir;
    daemon_ = (struct daemon){.options = &options};
    pthread_mutex_init(&daemon_.lock, NULL);
    pthread_cond_init(&daemon_.changed, NULL);
    assert_int_equal(journal_open(dir, &daemon_.journal, NULL), 0);
    assert_int_equal(secrets_open(secrets, NULL, &daemon_.secrets, NULL), 0);
    daemon_.events = events_new(daemon_.journal);
    return 0;
}

static int tear_down(void **state)
{
    events_free(daemon_.events);
    journal_close(daemon_.journal);
    secrets_close(daemon_.secrets);
    fdio_remove_tree(dir);
    return 0;
}

/* Asks, compares the status, returns the message of the error or "". */
static const char *ask(const char *method, const char *path, const char *body, unsigned status)
{
    static char message[600];
    struct api_request request = {.method = method, .path = path, .body = body,
                                  .body_length = body ? strlen(body) : 0, .peer = &peer};
    struct api_answer answer = {0};

    api_handle(&daemon_, &request, &answer);
    snprintf(message, sizeof(message), "%s",
             field_string(json_object_get(answer.body, "error"), "message", ""));
    if (answer.status != status)
        fail_msg("%s %s: %u instead of %u: %s", method, path, answer.status, status, message);
    json_decref(answer.body);
    event_stream_close(answer.stream);
    return message;
}

static void known_routes_answer(void **state)
{
    ask("GET", "/v1/version", NULL, 200);
    ask("GET", "/v1/sources", NULL, 200);
    ask("GET", "/v1/migrations", NULL, 200);
    ask("GET", "/v1/events", NULL, 200);
}

static void unknown_paths_and_methods_are_refused(void **state)
{
    static const char *const paths[] = {"/", "/v1", "/v1/", "/v1/migrations/", "/v1/migrationsx",
                                        "/v1/migrations/a/b/c", "/v1/migrations//sync",
                                        "/v1/sources/a/vms/", "/v2/version", ""};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        ask("GET", paths[i], NULL, 404);
    assert_non_null(strstr(ask("PUT", "/v1/migrations/a", NULL, 405), "GET, PATCH, DELETE"));
    ask("get", "/v1/version", NULL, 405);
}

static void what_is_no_text_is_named_all_the_same(void **state)
{
    assert_non_null(strstr(ask("GET", "/v1/\xff\xfe", NULL, 404), "nothing at /v1/"));
    assert_non_null(strstr(ask("GET", "/v1/migrations/a\xc3/report", NULL, 404), "'a?'"));
    assert_non_null(strstr(ask("DELETE", "/v1/sources/\xed\xa0\x80", NULL, 404), "named '"));
}

static void names_in_paths_are_looked_up(void **state)
{
    assert_non_null(strstr(ask("GET", "/v1/migrations/web", NULL, 404), "'web'"));
    assert_non_null(strstr(ask("GET", "/v1/migrations/web/report", NULL, 404), "'web'"));
    assert_non_null(strstr(ask("POST", "/v1/migrations/web/sync", NULL, 404), "'web'"));
    assert_non_null(strstr(ask("GET", "/v1/migrations/web/events", NULL, 404), "'web'"));
    ask("DELETE", "/v1/sources/x", NULL, 404);
    assert_non_null(strstr(ask("GET", "/v1/migrations/w\xff", NULL, 404), "'w?'"));
}

static void bodies_are_checked(void **state)
{
    assert_non_null(strstr(ask("POST", "/v1/sources", "{", 400), "JSON"));
    assert_non_null(strstr(ask("POST", "/v1/sources", NULL, 400), "JSON"));
    assert_non_null(strstr(ask("POST", "/v1/sources", "{\"name\":1,\"name\":2}", 400), "JSON"));
    assert_non_null(strstr(ask("POST", "/v1/sources", "[]", 400), "object"));
    assert_non_null(strstr(ask("POST", "/v1/migrations/web/sync", "{\"a\":1}", 400), "'a'"));
    ask("POST", "/v1/migrations/web/sync", "{}", 404);
}

static void a_source_comes_and_goes(void **state)
{
    _cleanup_free_ char *body = str_format("{\"name\":\"a\",\"uri\":\"test://%s\"}", dir);

    ask("POST", "/v1/sources", body, 201);
    assert_non_null(strstr(ask("POST", "/v1/sources", body, 409), "exists"));
    ask("DELETE", "/v1/sources/a", NULL, 204);
    ask("POST", "/v1/sources", body, 201);
    ask("DELETE", "/v1/sources/a", NULL, 204);
}

static void errors_have_a_status(void **state)
{
    assert_int_equal(api_status(ENOENT), 404);
    assert_int_equal(api_status(EPERM), 409);
    assert_int_equal(api_status(ENOSPC), 507);
    assert_int_equal(api_status(EIO), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_routes_answer),
        cmocka_unit_test(unknown_paths_and_methods_are_refused),
        cmocka_unit_test(what_is_no_text_is_named_all_the_same),
        cmocka_unit_test(names_in_paths_are_looked_up),
        cmocka_unit_test(bodies_are_checked),
        cmocka_unit_test(a_source_comes_and_goes),
        cmocka_unit_test(errors_have_a_status),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
