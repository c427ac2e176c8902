/* SPDX-License-Identifier: Apache-2.0 */
/* slipway source …, slipway vm … */
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/fields.h"

#define PASSWORD_BYTES_MAX 4096

enum source_key { KEY_PASSWORD_FILE = KEY_OWN, KEY_PASSWORD, KEY_NO_CHECK };

struct source_options {
    struct cli_common common;
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

static int add_parse(struct source_options *o, int argc, char **argv)
{
    static const struct option options[] = {
        COMMON_OPTIONS,
        {"password-file", required_argument, NULL, KEY_PASSWORD_FILE},
        {"password", optional_argument, NULL, KEY_PASSWORD},
        {"no-check", no_argument, NULL, KEY_NO_CHECK},
        {NULL}};
    int key, r = -1;

    *o = (struct source_options){0};
    common_init(&o->common, "source add");
    while (r < 0 && (key = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (key == KEY_PASSWORD_FILE)
            o->password_file = optarg;
        else if (key == KEY_NO_CHECK)
            o->no_check = true;
        else if (key == KEY_PASSWORD)
            r = common_usage(&o->common, "a password on the command line can be seen by every user "
                             "of this machine: use --password-file FILE, or --password-file - to "
                             "read it from standard input");
        else
            r = common_take(&o->common, key);
    }
    return r < 0 ? common_arguments(&o->common, argc, 2, "NAME URI") : r;
}

static int source_add(int argc, char **argv)
{
    _cleanup_json_ json_t *body = NULL, *answer = NULL;
    _cleanup_free_ char *password = NULL;
    struct source_options o;
    struct error *err = NULL;
    int r = add_parse(&o, argc, argv);

    if (r >= 0)
        return r;
    r = o.password_file ? read_password(o.password_file, &password, &err) : 0;
    if (r < 0)
        return common_fail(&o.common, err);
    body = json_pack("{s:s, s:s, s:s*, s:b}", "name", argv[optind], "uri", argv[optind + 1],
                     "password", password, "check", !o.no_check);
    r = client_call(o.common.socket, "POST", "/v1/sources", body, &answer, &err);
    if (r < 0)
        return common_fail(&o.common, err);
    if (o.common.json)
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
    int r = common_parse(&common, "source list", argc, argv, false, 0, "");

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
    int r = common_parse(&common, "source remove", argc, argv, false, 1, "NAME");

    if (r >= 0)
        return r;
    path = client_path("sources", argv[optind], NULL);
    r = client_call(common.socket, "DELETE", path, NULL, NULL, &err);
    return r < 0 ? common_fail(&common, err) : EXIT_CODE_OK;
}

int cli_source(int argc, char **argv)
{
    struct cli_common common;

    if (argc > 1 && strcmp(argv[1], "add") == 0)
        return source_add(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "list") == 0)
        return source_list(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "remove") == 0)
        return source_remove(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        cli_help();
        return EXIT_CODE_OK;
    }
    common_init(&common, "source");
    return common_usage(&common, "expected: slipway source add, list or remove");
}

static void print_vm(const json_t *vm)
{
    json_t *disks = json_object_get(vm, "disks"), *disk;
    uint64_t size = 0;
    char memory[32], total[32];
    size_t i;

    json_array_foreach(disks, i, disk)
        size += (uint64_t)field_integer(disk, "size_bytes", 0);
    printf("%-24s %-8s %3lld CPU  %9s  %zu %s  %s\n", field_string(vm, "name", "?"),
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
    int r = common_parse(&common, "vm list", argc, argv, false, 1, "SOURCE");

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

int cli_vm(int argc, char **argv)
{
    struct cli_common common;

    if (argc > 1 && strcmp(argv[1], "list") == 0)
        return vm_list(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        cli_help();
        return EXIT_CODE_OK;
    }
    common_init(&common, "vm");
    return common_usage(&common, "expected: slipway vm list SOURCE");
}
