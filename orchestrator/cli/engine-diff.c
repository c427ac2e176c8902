/* SPDX-License-Identifier: Apache-2.0 */
/* slipway engine diff, slipway diff: what changed between two generations. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/proc.h"
#include "base/str.h"
#include "orchestrator/cli/engine.h"

int engine_diff_word(struct engine_args *a, const char *word, struct error **err)
{
    const char *digits = word[0] == '@' ? word + 1 : word;
    char *end;
    long long gen;

    errno = 0;
    gen = strtoll(digits, &end, 10);
    if (!isdigit((unsigned char)digits[0]) || *end || errno)
        return error_set(err, EINVAL, "'%s' is not a generation; name it as 3 or @3", word);
    if (a->from >= 0 && a->to >= 0)
        return error_set(err, EINVAL, "'%s' is one generation too many; diff compares two", word);
    *(a->from < 0 ? &a->from : &a->to) = gen;
    return 0;
}

/* ---- what the engine tells ---- */

struct told {
    struct session session;
    json_t *extents; /* by name of the disk; NULL: nobody asked */
};

static int take_event(const json_t *event, void *context)
{
    struct told *t = context;
    const char *kind = json_string_value(json_object_get(event, "event"));
    const char *disk = json_string_value(json_object_get(event, "disk"));
    json_t *list;

    if (!kind || strcmp(kind, "extents") != 0)
        return session_event(event, &t->session);
    if (!t->extents || !disk)
        return 0;
    list = json_object_get(t->extents, disk);
    if (!list) {
        list = json_array();
        json_object_set_new(t->extents, disk, list);
    }
    return json_array_extend(list, json_object_get(event, "extents")) < 0 ? -ENOMEM : 0;
}

static json_t *diff_request(const struct engine_args *a)
{
    json_t *j = json_pack("{s:b}", "fast", a->fast);

    if (a->from >= 0)
        json_object_set_new(j, "from", json_integer(a->from));
    if (a->to >= 0)
        json_object_set_new(j, "to", json_integer(a->to));
    if (a->one_disk)
        json_object_set_new(j, "disk", json_string(a->one_disk));
    return j;
}

static int ask(struct told *t, json_t **ret_result, struct error **err)
{
    json_t *request = diff_request(t->session.args);
    int r = control_call(t->session.control, "diff", request, take_event, t, ret_result, err);

    json_decref(request);
    session_event_end(&t->session);
    return r;
}

/* ---- what people see ---- */

static uint64_t bytes_of(const json_t *j, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(j, name));
}

static void print_extents(const json_t *list)
{
    char offset_text[32], length_text[32];

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *pair = json_array_get(list, i);
        uint64_t offset = (uint64_t)json_integer_value(json_array_get(pair, 0));
        uint64_t length = (uint64_t)json_integer_value(json_array_get(pair, 1));

        printf("    offset %" PRIu64 ", length %" PRIu64 " (%s at %s)\n", offset, length,
               str_from_bytes(length, length_text, sizeof(length_text)),
               str_from_bytes(offset, offset_text, sizeof(offset_text)));
    }
}

static void print_disk(const struct engine_args *a, const json_t *d)
{
    uint64_t extents = bytes_of(d, "extents");
    char changed[32], written[32];

    str_from_bytes(bytes_of(d, "changed_bytes"), changed, sizeof(changed));
    str_from_bytes(bytes_of(d, "written_bytes"), written, sizeof(written));
    printf("  %-12s ", json_string_value(json_object_get(d, "name")));
    if (bytes_of(d, "changed_bytes") > 0)
        printf("%s %s in %" PRIu64 " extent%s", changed, a->fast ? "written" : "changed", extents,
               extents == 1 ? "" : "s");
    else
        printf("unchanged");
    if (!a->fast && bytes_of(d, "written_bytes") != bytes_of(d, "changed_bytes"))
        printf(", %s written", written);
    putchar('\n');
}

static void print_diff(const struct told *t, const json_t *result)
{
    const struct engine_args *a = t->session.args;
    const json_t *disks = json_object_get(result, "disks");

    printf("from generation %" PRIu64 " to %" PRIu64 "%s\n", bytes_of(result, "from"),
           bytes_of(result, "to"), a->fast ? " (bytes not compared)" : "");
    for (size_t i = 0; i < json_array_size(disks); i++) {
        const json_t *d = json_array_get(disks, i);

        print_disk(a, d);
        print_extents(json_object_get(t->extents, json_string_value(json_object_get(d, "name"))));
    }
}

/* The number of extents gives way to the extents themselves. */
static void add_extents(const struct told *t, json_t *result)
{
    const json_t *disks = json_object_get(result, "disks");

    for (size_t i = 0; i < json_array_size(disks); i++) {
        json_t *d = json_array_get(disks, i);
        json_t *list = json_object_get(t->extents, json_string_value(json_object_get(d, "name")));

        json_object_set_new(d, "extents", list ? json_incref(list) : json_array());
    }
}

/* ---- files ---- */

static char *escape(const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    char *escaped = mem_new(3 * strlen(text) + 1, 1), *out = escaped;

    for (const char *s = text; *s; s++)
        if (isalnum((unsigned char)*s) || strchr("/._-", *s)) {
            *out++ = *s;
        } else {
            *out++ = '%';
            *out++ = digits[(unsigned char)*s >> 4];
            *out++ = digits[(unsigned char)*s & 15];
        }
    return escaped;
}

/* libguestfs knows nbd:// with a socket, but not nbd+unix://. */
static char *guestfs_uri(const char *store, const char *disk, uint64_t gen)
{
    _cleanup_free_ char *folder = escape(store);

    return str_format("nbd:///%s@%" PRIu64 "?socket=%s/%s", disk, gen, folder, NBD_SOCKET_NAME);
}

/* -a for each disk of the older generation, -A for each of the newer one. */
static char **virt_diff_argv(const struct engine_args *a, const json_t *result)
{
    const json_t *disks = json_object_get(result, "disks");
    size_t count = json_array_size(disks), n = 0;
    char **argv = mem_new(4 * count + 3, sizeof(*argv));

    argv[n++] = str_dup("virt-diff");
    argv[n++] = str_dup("--format=raw"); /* a guest cannot make us believe in another one */
    for (size_t i = 0; i < 2 * count; i++) {
        const json_t *d = json_array_get(disks, i % count);

        argv[n++] = str_dup(i < count ? "-a" : "-A");
        argv[n++] = guestfs_uri(a->store, json_string_value(json_object_get(d, "name")),
                                bytes_of(result, i < count ? "from" : "to"));
    }
    return argv;
}

/* said: by virt-diff, of which the first line is the sentence; NULL: people have seen it. */
static int files_failed(int r, const struct error *said, struct error **err)
{
    const char *text = said ? error_text(said) : "see what it said";

    if (r == -ENOENT)
        return error_set(err, ENOENT, "--files needs the program virt-diff, which is not here; "
                                      "install libguestfs-tools");
    return error_set(err, EIO, "the files cannot be compared (%.*s); see whether the disks hold a "
                               "system that libguestfs knows and both generations are still "
                               "retained", (int)strcspn(text, "\n"), text);
}

static int show_files(char *const *argv)
{
    struct proc_options options = PROC_OPTIONS_DEFAULT;
    int status = 0, r;
    pid_t pid;

    options.die_with_parent = true;
    printf("files (virt-diff): - removed, + added, = content, # attributes\n");
    fflush(stdout);
    r = proc_spawn(argv, &options, &pid, NULL);
    if (r == 0)
        r = proc_wait(pid, UINT64_MAX, &status);
    return r == 0 && status != 0 ? -EIO : r;
}

/* File names need not be UTF-8, JSON must. */
static json_t *line_json(char *line)
{
    json_t *j = json_string(line);

    for (char *s = line; !j && *s; s++)
        if ((unsigned char)*s >= 0x80)
            *s = '?';
    return j ? j : json_string(line);
}

/* Its lines as a list; what it says of a failure is in *err. */
static int collect_files(char *const *argv, json_t *result, struct error **err)
{
    _cleanup_free_ char *output = NULL;
    json_t *lines = json_array();
    char *rest, *line;
    int r = proc_run(argv, UINT64_MAX, &output, err);

    rest = output;
    while (r == 0 && (line = strsep(&rest, "\n")))
        if (*line)
            json_array_append_new(lines, line_json(line));
    json_object_set_new(result, "files", lines);
    return r;
}

static int compare_files(const struct engine_args *a, json_t *result, struct error **err)
{
    _cleanup_error_ struct error *e = NULL;
    char **argv = virt_diff_argv(a, result);
    int r;

    /* With libvirt between them QEMU would be another user, who may not use the engine's socket. */
    setenv("LIBGUESTFS_BACKEND", "direct", 0);
    r = a->json ? collect_files(argv, result, &e) : show_files(argv);
    for (size_t i = 0; argv[i]; i++)
        free(argv[i]);
    free(argv);
    if (r == 0)
        return 0;
    return files_failed(r, e, err);
}

/* ---- all ---- */

static int compare(struct told *t, json_t **ret_result, struct error **err)
{
    const struct engine_args *a = t->session.args;
    int r = ask(t, ret_result, err);

    if (r == 0 && !a->json)
        print_diff(t, *ret_result);
    if (r == 0 && a->files)
        r = compare_files(a, *ret_result, err);
    if (r == 0 && a->json) {
        add_extents(t, *ret_result);
        session_print(*ret_result);
    }
    return r;
}

int engine_verb_diff(const struct engine_args *a, struct error **err)
{
    struct told t = {.extents = a->json || a->extents ? json_object() : NULL};
    json_t *result = NULL;
    int r = a->from >= 0 && a->to >= 0 && a->from > a->to
                ? error_set(err, EINVAL, "generation %lld is newer than %lld; name the older one "
                                         "first", a->from, a->to)
                : session_open(&t.session, a, err);

    if (r == 0) {
        t.session.brief = true;
        r = compare(&t, &result, err);
        r = session_close(&t.session, r, err);
    }
    json_decref(result);
    json_decref(t.extents);
    return r;
}
