/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/cli/text.h"
#include "orchestrator/fields.h"

#define GAP 2

enum column { COLUMN_NAME, COLUMN_STATE, COLUMN_PROGRESS, COLUMN_SYNC, COLUMN_DOWNTIME, COLUMN_NOTE,
              COLUMNS };

/* A column is shown when it gets its least; what is left over goes first to those that have not
 * enough yet, then to those that can use more. */
static const struct {
    const char *title;
    size_t least, enough, most;
    size_t growth; /* columns a round */
    int sacrifice; /* the highest goes first when there is no room */
} layout[COLUMNS] = {
    [COLUMN_NAME] = {"NAME", 8, 16, 28, 1, 0},
    [COLUMN_STATE] = {"STATE", 11, 12, 12, 1, 1},
    [COLUMN_PROGRESS] = {"PROGRESS", 16, 36, 40, 3, 2},
    [COLUMN_SYNC] = {"GEN AGE", 9, 10, 10, 1, 4},
    [COLUMN_DOWNTIME] = {"DOWNTIME", 9, 10, 11, 1, 5},
    [COLUMN_NOTE] = {"NEXT / NOTE", 12, 24, 200, 2, 3},
};

/* What needs attention comes first. */
static const char *const attention[][8] = {
    {"failed"},
    {"stopping", "final-sync", "instant-flip", "morphing", "flipping", "defining", "starting"},
    {"rolling-back", "reverting", "cancelling", "committing", "hydrating", "detaching",
     "finishing"},
    {"preparing", "syncing", "created"},
    {"window", "rolled-back"},
    {"mirrored", "planned"},
    {"done", "cancelled"},
};

static unsigned rank_of(const json_t *migration)
{
    const char *state = field_string(migration, "state", "");

    for (unsigned r = 0; r < ARRAY_SIZE(attention); r++)
        for (size_t i = 0; i < ARRAY_SIZE(attention[r]) && attention[r][i]; i++)
            if (strcmp(state, attention[r][i]) == 0)
                /* Behind those that move: who waits for its turn. */
                return 2 * r + (strcmp(field_string(json_object_get(migration, "progress"), "phase",
                                                    ""), "queued") == 0);
    return 2 * ARRAY_SIZE(attention);
}

static int compare(const void *left, const void *right)
{
    const json_t *a = *(json_t *const *)left, *b = *(json_t *const *)right;
    unsigned ra = rank_of(a), rb = rank_of(b);

    return ra != rb ? (ra < rb ? -1 : 1)
                    : strcmp(field_string(a, "name", ""), field_string(b, "name", ""));
}

void table_format_seconds(double seconds, char *buf, size_t size)
{
    unsigned s = !(seconds > 0) ? 0 : seconds > 359999 ? 359999 : (unsigned)seconds;

    if (s >= 3600)
        snprintf(buf, size, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buf, size, "%u:%02u", s / 60, s % 60);
}

char *table_bar(uint64_t done, uint64_t total, size_t columns)
{
    size_t cells = columns > 2 ? columns - 2 : 0, full;
    char *bar = mem_new(cells + 3, 1);

    full = total && done < total ? (size_t)((double)done / (double)total * (double)cells)
           : total               ? cells
                                 : 0;
    bar[0] = '[';
    memset(bar + 1, ' ', cells);
    memset(bar + 1, '#', full);
    bar[cells + 1] = ']';
    return bar;
}

/* ---- cells ---- */

/* Short ages: "9s", "3m", "5h", "12d" */
static char *sync_cell(const json_t *m, const struct table_view *view)
{
    const json_t *generation = json_object_get(m, "generation");
    int64_t synced = field_integer(m, "synced_ns", 0);
    int64_t s = (view->now_ns - synced) / (int64_t)NS_PER_S;

    if (!json_is_integer(generation))
        return str_dup("-");
    if (!synced)
        return str_format("%lld", (long long)json_integer_value(generation));
    s = s < 0 ? 0 : s; /* a clock that was set */
    return str_format("%-3lld %lld%s", (long long)json_integer_value(generation),
                      (long long)(s < 120 ? s : s < 7200 ? s / 60 : s < 172800 ? s / 3600
                                                                              : s / 86400),
                      s < 120 ? "s" : s < 7200 ? "m" : s < 172800 ? "h" : "d");
}

/* The bar gives way to the figures, the last figure to the first. */
static char *progress_cell(const json_t *m, size_t columns)
{
    const json_t *p = json_object_get(m, "progress"), *eta = json_object_get(p, "eta_s");
    uint64_t done = (uint64_t)field_integer(p, "done_bytes", 0);
    uint64_t total = (uint64_t)field_integer(p, "total_bytes", 0);
    uint64_t rate = (uint64_t)json_number_value(json_object_get(p, "rate_bytes_s"));
    char rate_text[32], eta_text[24] = "";
    _cleanup_free_ char *figures = NULL, *bar = NULL;
    const char *phase = field_string(p, "phase", "");

    if (!json_is_object(p))
        return str_dup("");
    if (total == 0)
        return str_dup(phase);
    if (json_is_number(eta) && json_number_value(eta) >= 0)
        table_format_seconds(json_number_value(eta), eta_text, sizeof(eta_text));
    str_from_bytes(rate, rate_text, sizeof(rate_text));
    figures = str_format("%3u%% %s/s%s%s", (unsigned)((double)(done < total ? done : total) * 100 /
                                                      (double)total),
                         rate_text, *eta_text ? " ETA " : "", eta_text);
    if (strlen(figures) + 9 > columns)
        return str_format("%s %.*s", phase, (int)columns, figures);
    bar = table_bar(done, total, columns - strlen(figures) - 1 > 20
                                     ? 20 : columns - strlen(figures) - 1);
    return str_format("%s %s", bar, figures);
}

static char *downtime_cell(const json_t *m)
{
    const json_t *forecast = json_object_get(m, "forecast");
    const json_t *total = json_object_get(forecast, "total");

    if (!json_is_object(total))
        return str_dup("");
    return str_format("%s%.1f s", field_bool(forecast, "at_least", false) ? ">" : "~",
                      json_number_value(json_object_get(total, "expected_s")));
}

static char *note_cell(const struct model *model, const json_t *m)
{
    const json_t *rehearsal = json_object_get(m, "rehearsal");
    const char *name = field_string(m, "name", ""), *note = field_string(model->notes, name, NULL);
    const json_t *decision = json_object_get(model->decisions, name);
    const char *error = field_string(json_object_get(m, "error"), "message", NULL);

    if (json_object_get(m, "alarm"))
        return str_format("ALARM: %s", field_string(m, "alarm", ""));
    if (error)
        return str_dup(error);
    if (field_bool(rehearsal, "active", false))
        return str_format("rehearsal %s", field_string(rehearsal, "state", ""));
    if (decision && !field_bool(m, "active", false))
        return str_dup(field_string(decision, "reason", ""));
    return str_dup(note);
}

static char *cell(const struct model *model, const json_t *m, const struct table_view *view,
                  enum column column, size_t columns)
{
    switch (column) {
    case COLUMN_NAME:
        return str_dup(field_string(m, "name", "?"));
    case COLUMN_STATE:
        return str_dup(field_string(m, "state", "?"));
    case COLUMN_PROGRESS:
        return progress_cell(m, columns);
    case COLUMN_SYNC:
        return sync_cell(m, view);
    case COLUMN_DOWNTIME:
        return downtime_cell(m);
    default:
        return note_cell(model, m);
    }
}

/* ---- lines ---- */

static size_t grow(size_t columns, size_t used, size_t widths[COLUMNS], bool to_most)
{
    for (bool grown = true; grown && used < columns;) {
        grown = false;
        for (size_t c = 0; c < COLUMNS; c++)
            for (size_t i = 0; i < layout[c].growth && used < columns && widths[c] &&
                               widths[c] < (to_most ? layout[c].most : layout[c].enough); i++) {
                widths[c]++;
                used++;
                grown = true;
            }
    }
    return used;
}

static void lay_out(size_t columns, size_t widths[COLUMNS])
{
    size_t used = 0;

    for (size_t c = 0; c < COLUMNS; c++) {
        widths[c] = layout[c].least;
        used += layout[c].least + (c ? GAP : 0);
    }
    for (int s = COLUMNS - 1; s > 0 && used > columns; s--)
        for (size_t c = 0; c < COLUMNS; c++)
            if (layout[c].sacrifice == s) {
                widths[c] = 0;
                used -= layout[c].least + GAP;
            }
    if (used > columns)
        widths[COLUMN_NAME] = used = columns;
    used = grow(columns, used, widths, false);
    grow(columns, used, widths, true);
}

static void append(char **line, const char *text, size_t columns, bool first, bool utf8)
{
    _cleanup_free_ char *safe = text_safe(text ? text : "", utf8);
    _cleanup_free_ char *fit = text_fit(safe, columns, utf8), *before = *line;

    *line = str_format("%s%*s%s", before, first ? 0 : GAP, "", fit);
}

/* m NULL: the titles. */
static char *row_line(const struct model *model, const json_t *m, const struct table_view *view,
                      const size_t widths[COLUMNS])
{
    char *line = str_dup("");

    for (size_t c = 0; c < COLUMNS; c++) {
        _cleanup_free_ char *text = NULL;

        if (!widths[c])
            continue;
        text = m ? cell(model, m, view, c, widths[c]) : str_dup(layout[c].title);
        append(&line, text, widths[c], c == COLUMN_NAME, view->utf8);
    }
    return line;
}

static char *whole_line(const char *text, const struct table_view *view)
{
    _cleanup_free_ char *safe = text_safe(text, view->utf8);

    return text_fit(safe, view->columns, view->utf8);
}

/* "50 migrations: 3 syncing, 47 mirrored", of those from index `from` on. */
static char *count_states(json_t *const *rows, size_t from, size_t count)
{
    json_t *states = json_object(), *value;
    char *text = str_dup("");
    const char *key;

    for (size_t i = from; i < count; i++) {
        key = field_string(rows[i], "state", "?");
        json_object_set_new(states, key, json_integer(field_integer(states, key, 0) + 1));
    }
    json_object_foreach(states, key, value) {
        _cleanup_free_ char *before = text;

        text = str_format("%s%s%lld %s", before, *before ? ", " : "",
                          (long long)json_integer_value(value), key);
    }
    json_decref(states);
    return text;
}

static json_t **sorted_rows(const struct model *model, const char *only, size_t *ret_count)
{
    json_t **rows = mem_new(json_object_size(model->migrations) + 1, sizeof(*rows)), *m;
    const char *name;
    size_t n = 0;

    json_object_foreach(model->migrations, name, m)
        if (!only || strcmp(only, name) == 0)
            rows[n++] = m;
    qsort(rows, n, sizeof(*rows), compare);
    *ret_count = n;
    return rows;
}

size_t table_draw(const struct model *model, const struct table_view *view, char ***ret_lines)
{
    size_t count, shown, n = 0, room = view->lines, widths[COLUMNS];
    json_t **rows = sorted_rows(model, view->only, &count);
    char **lines = mem_new(room + 4, sizeof(*lines)), *states = count_states(rows, 0, count);
    _cleanup_free_ char *title = str_format("slipwayd %s: %zu migration%s%s%s",
                                            model->version ? model->version : "", count,
                                            count == 1 ? "" : "s", count ? ": " : "", states);

    lay_out(view->columns, widths);
    if (room > 2)
        lines[n++] = whole_line(title, view);
    if (room > 1)
        lines[n++] = row_line(model, NULL, view, widths);
    room -= n;
    room -= view->trouble && room > 1;
    shown = count <= room ? count : room > 1 ? room - 1 : room;
    for (size_t i = 0; i < shown; i++)
        lines[n++] = row_line(model, rows[i], view, widths);
    if (shown < count && room > 1) {
        _cleanup_free_ char *rest = count_states(rows, shown, count);
        _cleanup_free_ char *text = str_format("… %zu more (%s)", count - shown, rest);

        lines[n++] = whole_line(view->utf8 ? text : text + strlen("… "), view);
    }
    if (view->trouble && view->lines > n)
        lines[n++] = whole_line(view->trouble, view);
    free(states);
    free(rows);
    *ret_lines = lines;
    return n;
}

void table_free(char **lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
    free(lines);
}
