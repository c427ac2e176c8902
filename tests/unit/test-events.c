/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of events: where it begins, that nothing is lost or told twice, and when it says that
 * something is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/events.h"
#include "orchestrator/fields.h"

static char dir[64];
static struct journal *journal;
static struct events *events;

static int set_up(void **state)
{
    strcpy(dir, "/tmp/test-events-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(journal_open(dir, &journal, NULL), 0);
    events = events_new(journal);
    return 0;
}

static int tear_down(void **state)
{
    events_free(events);
    journal_close(journal);
    fdio_remove_tree(dir);
    return 0;
}

/* As when slipwayd begins again. */
static void begin_again(void)
{
    events_free(events);
    events = events_new(journal);
}

static void record(const char *migration, int number)
{
    events_record(events, migration, json_pack("{s:s, s:i}", "event", "note", "n", number));
}

static void publish(const char *migration, int number)
{
    events_publish(events, migration, 0,
                   json_pack("{s:s, s:i}", "event", "progress", "n", number));
}

static char *cursor_now(void)
{
    _cleanup_json_ json_t *snapshot = json_object();

    events_stamp(events, snapshot);
    return str_dup(field_string(snapshot, "cursor", NULL));
}

/* All lines that are there now, as "hello 1 2 reset:progress 3". */
static char *told(const char *migration, const char *since)
{
    struct event_stream *stream = NULL;
    char *text = str_dup(""), *line = NULL;

    assert_int_equal(event_stream_open(events, migration, since, &stream, NULL), 0);
    while (event_stream_next(stream, 0, &line) == 0 && line) {
        _cleanup_json_ json_t *event = json_loads(line, 0, NULL);
        const char *kind = field_string(event, "event", "?"), *lost;
        char *more;

        assert_non_null(event);
        lost = field_string(event, "lost", NULL);
        if (json_object_get(event, "n"))
            more = str_format("%s %d", text, (int)field_integer(event, "n", 0));
        else
            more = str_format("%s%s%s%s%s", text, *text ? " " : "", kind, lost ? ":" : "",
                              lost ? lost : "");
        free(text);
        text = more;
        free(line);
        line = NULL;
    }
    event_stream_close(stream);
    return text;
}

#define ASSERT_TOLD(migration, since, expected)                                                    \
    do {                                                                                           \
        _cleanup_free_ char *text_ = told(migration, since);                                       \
        assert_string_equal(text_, expected);                                                      \
    } while (0)

static void a_number_goes_on_behind_that_event(void **state)
{
    record("a", 1);
    publish("a", 2);
    record("b", 3);
    publish("b", 4);
    ASSERT_TOLD(NULL, NULL, "hello");
    ASSERT_TOLD(NULL, "0", "hello 1 2 3 4");
    ASSERT_TOLD(NULL, "1", "hello 2 3 4");
    ASSERT_TOLD(NULL, "2", "hello 4");
    ASSERT_TOLD("a", "0", "hello 1 2");
    ASSERT_TOLD("b", "1", "hello 3 4");
}

static void a_cursor_goes_on_exactly_there(void **state)
{
    _cleanup_free_ char *zero = cursor_now(), *two = NULL, *three = NULL;

    record("a", 1);
    publish("a", 2);
    two = cursor_now();
    publish("a", 3);
    three = cursor_now();
    ASSERT_TOLD(NULL, zero, "hello 1 2 3");
    ASSERT_TOLD(NULL, two, "hello 3");
    ASSERT_TOLD(NULL, three, "hello");
    record("a", 4);
    ASSERT_TOLD(NULL, two, "hello 3 4");
}

static void numbered_events_outlive_slipwayd(void **state)
{
    _cleanup_free_ char *cursor = NULL;

    record("a", 1);
    publish("a", 2);
    cursor = cursor_now();
    record("a", 3);
    publish("a", 4);
    begin_again();
    ASSERT_TOLD(NULL, "0", "hello reset:progress 1 3");
    ASSERT_TOLD(NULL, "1", "hello reset:progress 3");
    ASSERT_TOLD(NULL, "2", "hello");
    ASSERT_TOLD(NULL, cursor, "hello reset:progress 3");
    publish("a", 5);
    record("a", 6);
    ASSERT_TOLD(NULL, "1", "hello reset:progress 3 6");
    ASSERT_TOLD(NULL, "2", "hello 5 6");
    ASSERT_TOLD(NULL, "3", "hello");
}

static void a_number_of_the_future_is_of_another_journal(void **state)
{
    record("a", 1);
    ASSERT_TOLD(NULL, "7", "hello reset:events");
}

static void what_the_journal_has_forgotten_is_told(void **state)
{
    char number[32];

    record("a", 0);
    for (int i = 1; i <= 20100; i++) {
        _cleanup_json_ json_t *body = json_pack("{s:s, s:i}", "event", "note", "n", i);
        int64_t seq;

        assert_int_equal(journal_add_event(journal, "a", body, &seq, NULL), 0);
    }
    begin_again();
    snprintf(number, sizeof(number), "%d", 20100);
    ASSERT_TOLD(NULL, number, "hello reset:progress 20100");
    {
        _cleanup_free_ char *text = told(NULL, "50");

        assert_int_equal(strncmp(text, "hello reset:events ", 19), 0);
    }
}

static void who_is_too_slow_begins_again(void **state)
{
    struct event_stream *stream = NULL;
    char *line = NULL;

    assert_int_equal(event_stream_open(events, NULL, NULL, &stream, NULL), 0);
    assert_int_equal(event_stream_next(stream, 0, &line), 0);
    free(line);
    for (int i = 0; i < 8193; i++)
        publish("a", i);
    line = NULL;
    for (int i = 0; !line && i < 2; i++)
        assert_int_equal(event_stream_next(stream, 0, &line), 0);
    assert_non_null(strstr(line, "\"reset\""));
    free(line);
    publish("a", 9000);
    assert_int_equal(event_stream_next(stream, 0, &line), 0);
    assert_non_null(strstr(line, "9000"));
    free(line);
    event_stream_close(stream);
}

static void a_ring_that_went_around_still_has_the_newest(void **state)
{
    _cleanup_free_ char *cursor = NULL;

    record("a", 1);
    for (int i = 0; i < 9000; i++)
        publish("a", i);
    cursor = cursor_now();
    publish("a", 9001);
    ASSERT_TOLD(NULL, cursor, "hello 9001");
    /* That number's place in the ring is gone; the journal has all numbered ones. */
    ASSERT_TOLD(NULL, "1", "hello reset:progress");
    ASSERT_TOLD(NULL, "0", "hello reset:progress 1");
}

static void nonsense_is_refused(void **state)
{
    static const char *const bad[] = {"", "x", "-1", "1x", "1.", "1.2", "1..x", ".1.x", "1.2x.y",
                                      "99999999999999999999", "1.99999999999999999999.x"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct event_stream *stream = NULL;
        struct error *err = NULL;

        assert_int_equal(event_stream_open(events, NULL, bad[i], &stream, &err), -EINVAL);
        assert_non_null(strstr(error_text(err), bad[i]));
        assert_null(stream);
        error_free(err);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_number_goes_on_behind_that_event),
        TEST(a_cursor_goes_on_exactly_there),
        TEST(numbered_events_outlive_slipwayd),
        TEST(a_number_of_the_future_is_of_another_journal),
        TEST(what_the_journal_has_forgotten_is_told),
        TEST(who_is_too_slow_begins_again),
        TEST(a_ring_that_went_around_still_has_the_newest),
        TEST(nonsense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
