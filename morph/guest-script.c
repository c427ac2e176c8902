/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts of the caller, run inside the appliance with the guest's root as their root. */
#include "morph/guest-inside.h"

#include <string.h>

#include "base/str.h"

/* What a script says is kept up to here. */
#define OUTPUT_MAX (256 << 10)

/* The last line that holds something, for a sentence. */
static char *last_line(const char *text)
{
    size_t end = strlen(text), begin;

    while (end > 0 && strchr(" \t\r\n", text[end - 1]))
        end--;
    for (begin = end; begin > 0 && text[begin - 1] != '\n'; begin--)
        continue;
    return str_format("%.*s", (int)(end - begin > 300 ? 300 : end - begin), text + begin);
}

/* Runs the file `path`; its two streams go to path.out in the guest. */
static int run_file(struct guest *guest, const char *path, char **ret_output, int *ret_code,
                    struct error **err)
{
    _cleanup_free_ char *out = str_format("%s.out", path);
    /* mktemp chose the name: nothing in it means anything to a shell. */
    _cleanup_free_ char *line = str_format("%s </dev/null >%s 2>&1; echo $?", path, out);
    _cleanup_free_ char *code = guestfs_sh(guest->g, line);
    size_t length = 0;
    char *output;

    if (!code)
        return guest_error(guest, err, "the guest's /bin/sh cannot start a script");
    *ret_code = atoi(code);
    output = guestfs_pread(guest->g, out, OUTPUT_MAX, 0, &length);
    if (!output)
        return guest_error(guest, err, out);
    *ret_output = mem_new(length + 1, 1);
    memcpy(*ret_output, output, length);
    free(output);
    return 0;
}

int guest_script(struct guest *guest, const char *name, const void *data, size_t length,
                 char **ret_output, struct error **err)
{
    _cleanup_free_ char *path = guestfs_mktemp(guest->g, "/.slipway-script-XXXXXX", -1);
    _cleanup_free_ char *output = NULL, *out = NULL, *last = NULL;
    int code = 0, r = 0;

    if (!path)
        return guest_error(guest, err, "cannot put a script into the guest");
    out = str_format("%s.out", path);
    if (guestfs_write(guest->g, path, data, length) < 0 || guestfs_chmod(guest->g, 0700, path) < 0)
        r = guest_error(guest, err, "cannot put a script into the guest");
    if (r == 0)
        r = run_file(guest, path, &output, &code, err);
    guestfs_rm_f(guest->g, out);
    if (guestfs_rm_f(guest->g, path) < 0 && r == 0)
        r = guest_error(guest, err, path);
    if (r == 0 && code != 0) {
        last = last_line(output);
        r = error_set(err, EIO, "the script '%s' ended with %d; the last it said was: %s", name,
                      code, last);
    }
    if (r == 0)
        *ret_output = steal_ptr(output);
    return r;
}
