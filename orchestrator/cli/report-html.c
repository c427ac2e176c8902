/* SPDX-License-Identifier: Apache-2.0 */
/* A report as one page of HTML: everything in a table, and the shape of it as plots. */
#include <string.h>

#include "base/cleanup.h"
#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/cli/html.h"
#include "orchestrator/cli/plot.h"
#include "orchestrator/cli/report.h"
#include "orchestrator/fields.h"

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void put_heading(FILE *out, const char *text)
{
    fprintf(out, "<h2>%s</h2>\n", text);
}

static void begin_table(FILE *out, const char *caption, const char *const *titles, size_t count)
{
    fprintf(out, "<table><caption>%s</caption><thead><tr>", caption);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "<th scope=\"col\">%s</th>", titles[i]);
    fputs("</tr></thead><tbody>\n", out);
}

static void end_table(FILE *out)
{
    fputs("</tbody></table>\n", out);
}

/* ---- passes ---- */

static void plot_passes(FILE *out, const json_t *passes)
{
    size_t count = json_array_size(passes), n = 0;
    struct plot_point *points = mem_new(count + 1, sizeof(*points));
    struct plot_point *rates = mem_new(count + 1, sizeof(*rates));

    for (size_t i = 0; i < count; i++) {
        const json_t *pass = json_array_get(passes, i);
        const json_t *before = i ? json_array_get(passes, i - 1) : NULL;
        double since = (number_of(pass, "began_ns") - number_of(before, "began_ns")) /
                       (double)NS_PER_S;

        points[i] = (struct plot_point){.y = number_of(pass, "bytes"),
                                        .label = field_string(pass, "kind", "")};
        if (before && since > 0)
            rates[n++] = (struct plot_point){.x = number_of(pass, "began_ns") / (double)NS_PER_S,
                                             .y = number_of(pass, "changed_bytes") / since,
                                             .label = field_string(pass, "kind", "")};
    }
    plot_bars(out, "Bytes copied by each pass", points, count, plot_bytes);
    if (n > 1)
        plot_line(out, "How fast the VM wrote, from pass to pass", rates, n, plot_rate);
    free(points);
    free(rates);
}

static void put_passes(FILE *out, const json_t *passes)
{
    static const char *const titles[] = {"pass", "generation", "began (UTC)", "copied", "zero",
                                         "changed", "time", "rate"};
    json_t *pass;
    size_t i;

    put_heading(out, "Passes");
    if (json_array_size(passes) == 0) {
        fputs("<p>Nothing has been copied.</p>\n", out);
        return;
    }
    plot_passes(out, passes);
    begin_table(out, "What each pass copied", titles, ARRAY_SIZE(titles));
    json_array_foreach((json_t *)(uintptr_t)passes, i, pass) {
        fputs("<tr class=\"pass\">", out);
        html_cell(out, field_string(pass, "kind", ""));
        if (json_is_integer(json_object_get(pass, "generation")))
            html_number(out, field_integer(pass, "generation", 0));
        else
            html_cell(out, "–");
        html_time(out, field_integer(pass, "began_ns", 0));
        html_bytes(out, (uint64_t)field_integer(pass, "bytes", 0));
        html_bytes(out, (uint64_t)field_integer(pass, "zero_bytes", 0));
        html_bytes(out, (uint64_t)field_integer(pass, "changed_bytes", 0));
        html_seconds(out, number_of(pass, "seconds"));
        html_rate(out, number_of(pass, "rate_bytes_s"));
        fputs("</tr>\n", out);
        if (field_string(pass, "why_full", NULL)) {
            fputs("<tr><td></td><td colspan=\"7\">compared in full: ", out);
            html_text(out, field_string(pass, "why_full", ""));
            fputs("</td></tr>\n", out);
        }
    }
    end_table(out);
}

/* ---- downtime ---- */

static void put_downtime(FILE *out, const json_t *downtime)
{
    static const char *const titles[] = {"part", "time"};
    struct plot_point parts[REPORT_PARTS];
    size_t n = 0;

    put_heading(out, "Downtime");
    if (!json_is_object(downtime)) {
        fputs("<p>There was no cutover yet.</p>\n", out);
        return;
    }
    for (size_t i = 0; i < REPORT_PARTS; i++)
        if (json_is_number(json_object_get(downtime, report_parts[i].field)))
            parts[n++] = (struct plot_point){.y = number_of(downtime, report_parts[i].field),
                                             .label = report_parts[i].label};
    plot_split(out, "What the downtime was made of", parts, n);
    begin_table(out, field_bool(downtime, "complete", false)
                         ? "The last cutover" : "The last cutover, whose VM has not come up",
                titles, ARRAY_SIZE(titles));
    for (size_t i = 0; i < n; i++) {
        fputs("<tr class=\"downtime\">", out);
        html_cell(out, parts[i].label);
        html_seconds(out, parts[i].y);
        fputs("</tr>\n", out);
    }
    fputs("<tr class=\"total\"><td><strong>total</strong></td>", out);
    html_seconds(out, number_of(downtime, "total_s"));
    fputs("</tr>\n", out);
    end_table(out);
}

/* ---- morph ---- */

static void put_code(FILE *out, const char *text)
{
    fputs("<td><code>", out);
    html_text(out, text);
    fputs("</code></td>", out);
}

static void put_morph(FILE *out, const json_t *morph)
{
    static const char *const titles[] = {"change", "path", "before (SHA-256)", "after (SHA-256)"};
    const json_t *changes = json_object_get(morph, "changes");
    json_t *item;
    size_t i;

    if (!json_is_object(morph))
        return;
    put_heading(out, "Changes to the guest");
    fputs("<p>", out);
    html_text(out, field_string(json_object_get(morph, "os"), "pretty", "The guest"));
    fprintf(out, ": %zu change%s%s.</p>\n", json_array_size(changes),
            json_array_size(changes) == 1 ? "" : "s",
            field_bool(morph, "rehearsed", false) ? ", as rehearsed" : "");
    begin_table(out, "Files and settings that were changed", titles, ARRAY_SIZE(titles));
    json_array_foreach((json_t *)(uintptr_t)changes, i, item) {
        fputs("<tr class=\"change\">", out);
        html_cell(out, field_string(item, "kind", ""));
        put_code(out, field_string(item, "path", ""));
        put_code(out, field_string(item, "before", "–"));
        put_code(out, field_string(item, "after", "–"));
        fputs("</tr>\n", out);
    }
    end_table(out);
    json_array_foreach(json_object_get(morph, "notes"), i, item) {
        fputs(field_bool(item, "warning", false) ? "<p>Warning: " : "<p>", out);
        html_text(out, field_string(item, "text", ""));
        fputs("</p>\n", out);
    }
}

/* ---- the rest ---- */

static void put_transitions(FILE *out, const json_t *transitions)
{
    static const char *const titles[] = {"when (UTC)", "state", "how long"};
    size_t count = json_array_size(transitions);
    struct plot_point *parts = mem_new(count + 1, sizeof(*parts));

    put_heading(out, "Course");
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(transitions, i);
        const json_t *next = i + 1 < count ? json_array_get(transitions, i + 1) : row;

        parts[i].x = number_of(row, "time_ns") / (double)NS_PER_S;
        parts[i].y = number_of(next, "time_ns") / (double)NS_PER_S - parts[i].x;
        parts[i].y = parts[i].y > 0 ? parts[i].y : 0; /* a clock that was set back */
        parts[i].label = field_string(row, "state", "");
    }
    plot_timeline(out, "States, one after the other", parts, count);
    begin_table(out, "When it came to each state", titles, ARRAY_SIZE(titles));
    for (size_t i = 0; i < count; i++) {
        fputs("<tr class=\"transition\">", out);
        html_time(out, field_integer(json_array_get(transitions, i), "time_ns", 0));
        html_cell(out, parts[i].label);
        if (i + 1 < count)
            html_seconds(out, parts[i].y);
        else
            html_cell(out, "until now");
        fputs("</tr>\n", out);
    }
    end_table(out);
    free(parts);
}

void report_html(FILE *out, const json_t *report)
{
    _cleanup_free_ char *title = str_format("Migration %s", field_string(report, "name", ""));

    html_begin(out, title);
    fputs("<h1>", out);
    html_text(out, title);
    fputs("</h1>\n<p>VM <strong>", out);
    html_text(out, field_string(report, "vm", ""));
    fputs("</strong> of the source ", out);
    html_text(out, field_string(report, "source", ""));
    fputs("; it is now <strong>", out);
    html_text(out, field_string(report, "state", ""));
    fputs("</strong>.</p>\n", out);
    put_downtime(out, json_object_get(report, "downtime"));
    put_passes(out, json_object_get(report, "passes"));
    put_morph(out, json_object_get(report, "morph"));
    put_transitions(out, json_object_get(report, "transitions"));
    html_end(out);
}

void report_html_summary(FILE *out, const json_t *migrations, const char *plan)
{
    static const char *const titles[] = {"migration", "VM", "state", "generation",
                                         "last sync (UTC)", "forecast downtime", "error"};
    _cleanup_free_ char *title = plan ? str_format("Migrations of the plan %s", plan)
                                      : str_dup("All migrations");
    json_t *m;
    size_t i;

    html_begin(out, title);
    fputs("<h1>", out);
    html_text(out, title);
    fprintf(out, "</h1>\n<p>%zu in all.</p>\n", json_array_size(migrations));
    begin_table(out, "How each of them is", titles, ARRAY_SIZE(titles));
    json_array_foreach((json_t *)(uintptr_t)migrations, i, m) {
        const json_t *total = json_object_get(json_object_get(m, "forecast"), "total");

        fputs("<tr class=\"migration\">", out);
        html_cell(out, field_string(m, "name", ""));
        html_cell(out, field_string(m, "vm", ""));
        html_cell(out, field_string(m, "state", ""));
        if (json_is_integer(json_object_get(m, "generation")))
            html_number(out, field_integer(m, "generation", 0));
        else
            html_cell(out, "–");
        html_time(out, field_integer(m, "synced_ns", 0));
        if (json_is_object(total))
            html_seconds(out, number_of(total, "expected_s"));
        else
            html_cell(out, "–");
        html_cell(out, field_string(json_object_get(m, "error"), "message", ""));
        fputs("</tr>\n", out);
    }
    end_table(out);
    html_end(out);
}
