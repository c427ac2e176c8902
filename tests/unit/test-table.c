/* SPDX-License-Identifier: Apache-2.0 */
/* The live table: fits every terminal, shows what needs attention first, and prints nothing that a
 * terminal would obey. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/cli/table.h"
#include "orchestrator/cli/text.h"
#include "orchestrator/fields.h"

static void assert_safe(const char *text, bool utf8, const char *expected)
{
    _cleanup_free_ char *safe = text_safe(text, utf8);

    assert_string_equal(safe, expected);
}

static void what_a_terminal_would_obey_is_escaped(void **state)
{
    assert_safe("web", true, "web");
    assert_safe("a\033[2Jb\r\n\x7f", true, "a\\x1b[2Jb\\x0d\\x0a\\x7f");
    assert_safe("naïve 日本", true, "naïve 日本");
    assert_safe("naïve", false, "na\\u00efve");
    assert_safe("\xc2\x9b" "31m", true, "\\u009b31m"); /* CSI in one letter */
    assert_safe("\xe2\x80\xae" "txt", true, "\\u202etxt");
    assert_safe("\xff\xc0\xaf\xed\xa0\x80", true, "\\xff\\xc0\\xaf\\xed\\xa0\\x80");
    assert_safe("cut \xe2\x80", true, "cut \\xe2\\x80");
    assert_safe("\xf4\x90\x80\x80", true, "\\xf4\\x90\\x80\\x80");
}

static void assert_fit(const char *text, size_t columns, const char *expected)
{
    _cleanup_free_ char *fit = text_fit(text, columns, true);

    assert_string_equal(fit, expected);
    assert_int_equal(text_columns(fit), columns);
}

static void columns_are_counted_not_bytes(void **state)
{
    assert_int_equal(text_columns("日本"), 4);
    assert_int_equal(text_columns("e\xcc\x81"), 1);
    assert_fit("web", 5, "web  ");
    assert_fit("website", 5, "webs…");
    assert_fit("日本語", 4, "日… ");
    assert_fit("日本語", 5, "日本…");
    assert_fit("x", 0, "");
    assert_fit("xy", 1, "…");
}

/* ---- the table ---- */

static json_t *migration(const char *name, const char *state)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:n, s:n}", "name", name, "state", state, "source",
                     "src", "vm", "web", "progress", "generation");
}

static void fill(struct model *m, size_t count)
{
    _cleanup_json_ json_t *snapshot = json_pack("{s:s, s:s, s:s, s:[]}", "cursor", "1.2.ab",
                                                "epoch", "ab", "version", "9", "migrations");

    for (size_t i = 0; i < count; i++) {
        char name[32];

        snprintf(name, sizeof(name), "m%04zu", i);
        json_array_append_new(json_object_get(snapshot, "migrations"), migration(name, "mirrored"));
    }
    model_take_snapshot(m, snapshot);
}

static void tell(struct model *m, const char *name, json_t *set)
{
    _cleanup_json_ json_t *event = json_pack("{s:s, s:s, s:i, s:i, s:o}", "event", "migration",
                                             "migration", name, "generation", 7, "tick", 3, "set",
                                             set);

    assert_true(model_take_event(m, event));
}

static char *drawn(const struct model *m, size_t columns, size_t lines)
{
    struct table_view view = {.columns = columns, .lines = lines, .utf8 = true,
                              .now_ns = 1000 * (int64_t)NS_PER_S};
    char **rows, *all = str_dup("");
    size_t count = table_draw(m, &view, &rows);

    assert_true(count <= lines);
    for (size_t i = 0; i < count; i++) {
        char *more = str_format("%s%s\n", all, rows[i]);

        assert_int_equal(text_columns(rows[i]), columns);
        free(all);
        all = more;
    }
    table_free(rows, count);
    return all;
}

static void it_fits_every_terminal(void **state)
{
    struct model m = {0};

    fill(&m, 60);
    tell(&m, "m0007", json_pack("{s:{s:s, s:I, s:I, s:I, s:f}}", "progress", "phase", "copy",
                                "done_bytes", (json_int_t)1 << 30, "total_bytes",
                                (json_int_t)4 << 30, "rate_bytes_s", (json_int_t)300 << 20, "eta_s",
                                10.5));
    for (size_t columns = 1; columns < 200; columns += columns < 30 ? 1 : 13)
        for (size_t lines = 1; lines < 70; lines += lines < 6 ? 1 : 9)
            free(drawn(&m, columns, lines));
    model_done(&m);
}

static void what_needs_attention_comes_first(void **state)
{
    struct model m = {0};
    _cleanup_free_ char *text = NULL;

    fill(&m, 1000);
    tell(&m, "m0900", json_pack("{s:s, s:{s:s}}", "state", "failed", "error", "message",
                                "the disk is \033[31mfull"));
    tell(&m, "m0800", json_pack("{s:s, s:{s:s, s:I, s:I, s:I, s:f}}", "state", "syncing",
                                "progress", "phase", "copy", "done_bytes", (json_int_t)1 << 30,
                                "total_bytes", (json_int_t)4 << 30, "rate_bytes_s",
                                (json_int_t)300 << 20, "eta_s", 70.0));
    tell(&m, "m0700", json_pack("{s:s}", "state", "done"));
    tell(&m, "m0000", json_pack("{s:i, s:I, s:{s:b, s:{s:f}}}", "generation", 12, "synced_ns",
                                (json_int_t)(1000 - 200) * (json_int_t)NS_PER_S, "forecast",
                                "at_least", 0, "total", "expected_s", 12.34));
    {
        _cleanup_json_ json_t *schedule =
            json_pack("{s:[{s:s, s:s}]}", "decisions", "name", "m0001", "reason",
                      "its window opens at ten");

        model_take_decisions(&m, schedule);
    }
    text = drawn(&m, 140, 10);
    assert_non_null(strstr(text, "its window opens at ten"));
    assert_non_null(strstr(text, "1000 migrations"));
    assert_true(strstr(text, "m0900") < strstr(text, "m0800"));
    assert_true(strstr(text, "m0800") < strstr(text, "m0000"));
    assert_non_null(strstr(text, "full"));
    assert_null(strchr(text, '\033'));
    assert_non_null(strstr(text, "\\x1b[31m"));
    assert_non_null(strstr(text, " 25% 300 MiB/s ETA 1:10"));
    assert_non_null(strstr(text, "[###"));
    assert_non_null(strstr(text, "12  3m"));
    assert_non_null(strstr(text, "~12.3 s"));
    assert_null(strstr(text, "m0700"));
    assert_non_null(strstr(text, "… 993 more (992 mirrored, 1 done)"));
    model_done(&m);
}

static void a_name_of_somebody_else_cannot_break_a_line(void **state)
{
    struct model m = {0};
    _cleanup_free_ char *text = NULL;

    fill(&m, 1);
    tell(&m, "m0000", json_pack("{s:s}", "name", "a\nb\033]0;x\a\xe2\x80\xae"));
    text = drawn(&m, 80, 3);
    assert_non_null(strstr(text, "a\\x0ab"));
    assert_null(strchr(text, '\033'));
    assert_null(strchr(text, '\a'));
    model_done(&m);
}

static void the_model_asks_for_a_snapshot(void **state)
{
    struct model m = {0};
    _cleanup_json_ json_t *same = json_pack("{s:s, s:s}", "event", "hello", "epoch", "ab");
    _cleanup_json_ json_t *other = json_pack("{s:s, s:s}", "event", "hello", "epoch", "cd");
    _cleanup_json_ json_t *reset = json_pack("{s:s, s:s}", "event", "reset", "epoch", "ab");
    _cleanup_json_ json_t *removed = json_pack("{s:s, s:s, s:i, s:i}", "event", "removed",
                                               "migration", "m0000", "seq", 9, "tick", 4);

    fill(&m, 2);
    assert_true(model_take_event(&m, same));
    assert_string_equal(m.cursor, "1.2.ab");
    assert_true(model_take_event(&m, removed));
    assert_string_equal(m.cursor, "9.5.ab");
    assert_int_equal(json_object_size(m.migrations), 1);
    assert_false(model_take_event(&m, other));
    assert_null(m.cursor);
    fill(&m, 2);
    assert_false(model_take_event(&m, reset));
    model_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_terminal_would_obey_is_escaped),
        cmocka_unit_test(columns_are_counted_not_bytes),
        cmocka_unit_test(it_fits_every_terminal),
        cmocka_unit_test(what_needs_attention_comes_first),
        cmocka_unit_test(a_name_of_somebody_else_cannot_break_a_line),
        cmocka_unit_test(the_model_asks_for_a_snapshot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
