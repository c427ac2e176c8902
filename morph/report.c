/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/report.h"

#include <jansson.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"

#define JSON_FLAGS (JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII)

/* Guest texts may be no UTF-8, which JSON cannot hold: then a replacement says so. */
static json_t *text(const char *s)
{
    json_t *j = json_string(s ? s : "");

    return j ? j : json_string("(not UTF-8)");
}

static double seconds(uint64_t ns)
{
    return (double)(ns / NS_PER_MS) / 1000.0;
}

static void write_line(FILE *file, json_t *object)
{
    char *line = json_dumps(object, JSON_FLAGS | JSON_REAL_PRECISION(6));

    if (line)
        fprintf(file, "%s\n", line);
    free(line);
    json_decref(object);
}

void report_begin(struct report *report, bool json, bool dry_run)
{
    *report = (struct report){.json = json, .dry_run = dry_run, .started_ns = clock_now_ns()};
}

static void phase_end(struct report *report)
{
    size_t last = report->phase_count - 1;
    uint64_t ns = clock_now_ns() - report->phases[last].ns;

    report->phases[last].ns = ns;
    if (report->json)
        write_line(stderr, json_pack("{s:s,s:s,s:f}", "phase", report->phases[last].name, "state",
                                     "end", "seconds", seconds(ns)));
    else
        fprintf(stderr, "%-8s %7.2f s\n", report->phases[last].name, seconds(ns));
}

void report_phase(struct report *report, const char *name)
{
    if (report->phase_count > 0)
        phase_end(report);
    if (!name || report->phase_count == REPORT_PHASES)
        return;
    report->phases[report->phase_count].name = name;
    report->phases[report->phase_count++].ns = clock_now_ns();
    if (report->json)
        write_line(stderr, json_pack("{s:s,s:s}", "phase", name, "state", "begin"));
}

void report_edit(const struct report *report, const struct edit *edit)
{
    if (report->json)
        write_line(stderr, json_pack("{s:s,s:s,s:s,s:o}", "phase", "apply", "state", "edit",
                                     "change", edit->change, "path", text(edit->path)));
    else
        fprintf(stderr, "  %-10s %s\n", edit->change, edit->path);
}

void report_done(struct report *report)
{
    for (size_t i = 0; i < report->script_count; i++) {
        free(report->scripts[i].name);
        free(report->scripts[i].output);
    }
    free(report->scripts);
    report->scripts = NULL;
    report->script_count = 0;
}

void report_script(struct report *report, const char *when, const char *name, const char *output)
{
    struct script_run *scripts =
        reallocarray(report->scripts, report->script_count + 1, sizeof(*scripts));

    if (!scripts)
        abort();
    report->scripts = scripts;
    scripts[report->script_count++] =
        (struct script_run){.when = when, .name = str_dup(name), .output = str_dup(output)};
    if (report->json)
        write_line(stderr, json_pack("{s:s,s:s,s:s,s:o}", "phase", "scripts", "state", "script",
                                     "when", when, "name", text(name)));
    else
        fprintf(stderr, "  %-10s %s\n", when, name);
}

static json_t *scripts_json(const struct report *report)
{
    json_t *list = json_array();

    for (size_t i = 0; i < report->script_count; i++)
        json_array_append_new(list, json_pack("{s:s,s:o,s:o}", "when", report->scripts[i].when,
                                              "name", text(report->scripts[i].name), "output",
                                              text(report->scripts[i].output)));
    return list;
}

/* null where there is no file. */
static json_t *hash(const char *hex)
{
    return *hex ? json_string(hex) : json_null();
}

static json_t *edits_json(const struct plan *plan)
{
    json_t *list = json_array();

    for (size_t i = 0; i < plan->edit_count; i++) {
        const struct edit *e = &plan->edits[i];
        json_t *one =
            json_pack("{s:s,s:s,s:o,s:o,s:o,s:o,s:o}", "change", e->change, "kind",
                      edit_kind_name(e->kind), "path", text(e->path), "what", text(e->what), "why",
                      text(e->why), "before", hash(e->before), "after", hash(e->after));

        if (e->label)
            json_object_set_new(one, "label", text(e->label));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *notes_json(const struct plan *plan)
{
    json_t *list = json_array();

    for (size_t i = 0; i < plan->note_count; i++)
        json_array_append_new(list,
                              json_pack("{s:s,s:b,s:o}", "change", plan->notes[i].change, "warning",
                                        plan->notes[i].warning, "text", text(plan->notes[i].text)));
    return list;
}

static json_t *nics_json(const struct facts *facts)
{
    json_t *list = json_array();

    for (size_t i = 0; i < facts->pin_count; i++)
        json_array_append_new(
            list, json_pack("{s:s,s:s}", "mac", facts->pins[i].mac, "name", facts->pins[i].name));
    return list;
}

static json_t *phases_json(const struct report *report)
{
    json_t *object = json_object();

    for (size_t i = 0; i < report->phase_count; i++)
        json_object_set_new(object, report->phases[i].name,
                            json_real(seconds(report->phases[i].ns)));
    return object;
}

static void print_result(const struct report *report, const struct facts *facts,
                         const struct plan *plan)
{
    printf("%s: %zu change%s%s\n", facts->os.pretty, plan->edit_count,
           plan->edit_count == 1 ? "" : "s", report->dry_run ? " would be made" : "");
    for (size_t i = 0; i < plan->edit_count; i++) {
        const struct edit *e = &plan->edits[i];

        printf("  %-10s %s\n             %s\n             because %s\n", e->change, e->path,
               e->what, e->why);
    }
    for (size_t i = 0; i < plan->note_count; i++)
        printf("  %-10s %s%s\n", plan->notes[i].change, plan->notes[i].warning ? "WARNING: " : "",
               plan->notes[i].text);
    for (size_t i = 0; i < report->script_count; i++)
        printf("  %-10s %s\n%s", report->scripts[i].when, report->scripts[i].name,
               report->scripts[i].output);
}

static json_t *hints_json(const struct hints *h)
{
    return json_pack("{s:s?,s:s?,s:s,s:s,s:s,s:s,s:b,s:b,s:b,s:o}", "machine", h->machine,
                     "firmware", h->firmware, "disk_bus", h->disk_bus, "nic_model", h->nic_model,
                     "video", h->video, "clock", h->clock, "secure_boot", h->secure_boot, "tpm",
                     h->tpm, "hyperv", h->hyperv, "osinfo", text(h->osinfo));
}

static json_t *os_json(const struct facts *facts)
{
    return json_pack("{s:s,s:o,s:o,s:o}", "family", family_name(facts->family), "id",
                     text(facts->os.id), "version", text(facts->os.version), "pretty",
                     text(facts->os.pretty));
}

static json_t *result_json(const struct report *report, const struct facts *facts,
                           const struct plan *plan, const struct hints *hints)
{
    bool changed = plan->edit_count > 0 || report->script_count > 0;

    return json_pack(
        "{s:b,s:b,s:b,s:o,s:o,s:b,s:o,s:o,s:o,s:o,s:o,s:f}", "dry_run", report->dry_run, "changed",
        changed && !report->dry_run, "rehearsed", report->rehearsed, "os", os_json(facts), "nics",
        nics_json(facts), "guest_agent", facts->guest_agent, "hints", hints_json(hints), "changes",
        edits_json(plan), "notes", notes_json(plan), "scripts", scripts_json(report), "phases",
        phases_json(report), "seconds", seconds(clock_now_ns() - report->started_ns));
}

int report_result(const struct report *report, const struct facts *facts, const struct plan *plan,
                  const struct hints *hints)
{
    if (report->json)
        write_line(stdout, result_json(report, facts, plan, hints));
    else
        print_result(report, facts, plan);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : -EIO;
}

void report_failure(const struct report *report, const struct error *err, bool changed)
{
    if (report->json)
        write_line(stderr,
                   json_pack("{s:o,s:b}", "error", text(error_text(err)), "changed", changed));
    else
        fprintf(stderr, "slipway-morph: %s\n%s\n", error_text(err),
                changed ? "The disks may be half changed: throw this draft away."
                        : "Nothing was changed.");
}
