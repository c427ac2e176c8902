/* SPDX-License-Identifier: Apache-2.0 */
/* slipway source …, slipway vm … */
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/cli/text.h"
#include "orchestrator/fields.h"
#include "orchestrator/guard.h"

#define PASSWORD_BYTES_MAX 4096

enum source_key { KEY_PASSWORD_FILE = KEY_OWN, KEY_PASSWORD, KEY_NO_CHECK };

static const struct cli_option add_options[] = {
    {"password-file", "FILE", KEY_PASSWORD_FILE,
     "its first line is the password; - reads standard input", "@file", 0},
    {"password", NULL, KEY_PASSWORD, NULL, NULL, 0},
    {"no-check", NULL, KEY_NO_CHECK, "do not try to reach the source", NULL, 0},
    CLI_OPTIONS_END};

struct source_options {
    const char *password_file;
    bool no_check;
};

static int read_stdin(char **ret_text, struct error **err)
{
    char *text = mem_new(1, PASSWORD_BYTES_MAX + 1);
    ssize_t n = fdio_read_all(STDIN_FILENO, text, PASSWORD_BYTES_MAX);

    if (n < 0) {
        free(text);
        return error_set_errno(err, (int)-n, "cannot read the password from standard input");
    }
    *ret_text = text;
    return 0;
}

static void password_free(char *password)
{
    explicit_bzero(password, strlen(password));
    free(password);
}
DEFINE_CLEANUP(char *, password_free)

/* The first line of the file. */
static int read_password(const char *path, char **ret_password, struct error **err)
{
    int r = 0;

    if (strcmp(path, "-") == 0)
        r = read_stdin(ret_password, err);
    else if ((r = fdio_read_file(path, PASSWORD_BYTES_MAX, ret_password, NULL)) < 0)
        return error_set_errno(err, -r, "cannot read the password from %s", path);
    if (r < 0)
        return r;
    (*ret_password)[strcspn(*ret_password, "\r\n")] = '\0';
    if (**ret_password)
        return 0;
    free(*ret_password);
    return error_set(err, EINVAL, "%s holds no password in its first line", path);
}

static int add_take(struct cli_common *common, int key, void *context)
{
    struct source_options *o = context;

    switch (key) {
    case KEY_PASSWORD_FILE:
        o->password_file = optarg;
        return -1;
    case KEY_NO_CHECK:
        o->no_check = true;
        return -1;
    default: /* KEY_PASSWORD */
        return common_usage(common, "a password on the command line can be seen by every user of "
                            "this machine: use --password-file FILE, or --password-file - to read "
                            "it from standard input");
    }
}

static int source_add(int argc, char **argv)
{
    _cleanup_json_ json_t *body = NULL, *answer = NULL;
    _cleanup_(password_freep) char *password = NULL;
    struct source_options o = {0};
    struct cli_common common;
    struct error *err = NULL;
    int r = common_parse(&common, &verb_source_add, argc, argv, add_take, &o);

    if (r >= 0)
        return r;
    guard_process();
    r = o.password_file ? read_password(o.password_file, &password, &err) : 0;
    if (r < 0)
        return common_fail(&common, err);
    body = json_pack("{s:s, s:s, s:s*, s:b}", "name", argv[optind], "uri", argv[optind + 1],
                     "password", password, "check", !o.no_check);
    r = client_call(common.socket, "POST", "/v1/sources", body, &answer, &err);
    if (r < 0)
        return common_fail(&common, err);
    if (common.json)
        common_print(answer);
    return EXIT_CODE_OK;
}

static int source_list(int argc, char **argv)
{
    _cleanup_json_ json_t *answer = NULL;
    struct cli_common common;
    struct error *err = NULL;
    json_t *source;
    size_t i;
    int r = common_parse(&common, &verb_source_list, argc, argv, NULL, NULL);

    if (r >= 0)
        return r;
    r = client_call(common.socket, "GET", "/v1/sources", NULL, &answer, &err);
    if (r < 0)
        return common_fail(&common, err);
    if (common.json) {
        common_print(answer);
        return EXIT_CODE_OK;
    }
    json_array_foreach(json_object_get(answer, "sources"), i, source)
        printf("%-20s %s%s\n", field_string(source, "name", ""), field_string(source, "uri", ""),
               field_bool(source, "password", false) ? "  (with password)" : "");
    return EXIT_CODE_OK;
}

static int source_remove(int argc, char **argv)
{
    _cleanup_free_ char *path = NULL;
    struct cli_common common;
    struct error *err = NULL;
    int r = common_parse(&common, &verb_source_remove, argc, argv, NULL, NULL);

    if (r >= 0)
        return r;
    path = client_path("sources", argv[optind], NULL);
    r = client_call(common.socket, "DELETE", path, NULL, NULL, &err);
    return r < 0 ? common_fail(&common, err) : EXIT_CODE_OK;
}

const struct cli_verb verb_source_add = {
    "source add", "NAME URI", 2, 2, "where VMs run now", source_add, add_options, 0, NULL};
const struct cli_verb verb_source_list = {
    "source list", "", 0, 0, "all sources", source_list, NULL, 0, NULL};
const struct cli_verb verb_source_remove = {
    "source remove", "NAME", 1, 1, "forget a source and its password", source_remove, NULL, 0,
    "@source"};

static void print_vm(const json_t *vm)
{
    json_t *disks = json_object_get(vm, "disks"), *disk;
    uint64_t size = 0;
    char memory[32], total[32];
    size_t i;

    _cleanup_free_ char *name = text_safe(field_string(vm, "name", "?"), text_is_utf8());

    json_array_foreach(disks, i, disk)
        size += (uint64_t)field_integer(disk, "size_bytes", 0);
    printf("%-24s %-8s %3lld CPU  %9s  %zu %s  %s\n", name,
           field_string(vm, "state", "?"), (long long)field_integer(vm, "vcpus", 0),
           str_from_bytes((uint64_t)field_integer(vm, "memory_bytes", 0), memory, sizeof(memory)),
           json_array_size(disks), json_array_size(disks) == 1 ? "disk " : "disks",
           str_from_bytes(size, total, sizeof(total)));
}

static int vm_list(int argc, char **argv)
{
    _cleanup_json_ json_t *answer = NULL;
    _cleanup_free_ char *path = NULL;
    struct cli_common common;
    struct error *err = NULL;
    json_t *vm;
    size_t i;
    int r = common_parse(&common, &verb_vm_list, argc, argv, NULL, NULL);

    if (r >= 0)
        return r;
    path = client_path("sources", argv[optind], "vms");
    r = client_call(common.socket, "GET", path, NULL, &answer, &err);
    if (r < 0)
        return common_fail(&common, err);
    if (common.json)
        common_print(answer);
    else
        json_array_foreach(json_object_get(answer, "vms"), i, vm)
            print_vm(vm);
    return EXIT_CODE_OK;
}

const struct cli_verb verb_vm_list = {
    "vm list", "SOURCE", 1, 1, "the VMs of a source", vm_list, NULL, 0, "@source"};
