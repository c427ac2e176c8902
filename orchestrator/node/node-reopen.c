/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exchanging what is below the disks of a running VM: from an NBD export to the file or device that
 * the export was about, by QEMU's own monitor.  The file is opened here and handed over, so that it
 * does not matter what QEMU's user, or a security module, would let it open by name.
 *
 * libvirt goes on describing the live VM with its old disk; the definition tells what is true from
 * the next start on.
 */
#include "orchestrator/node/node-libvirt.h"

#include <fcntl.h>
#include <libvirt/libvirt-qemu.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"

#define FDSET_FIRST 7000 /* libvirt counts its own from 0 */

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void answer_freep(char **answer)
{
    free(*answer);
}

/* One monitor command (consumed); *ret_result (may be NULL) is what it returns.  fd >= 0 goes along. */
static int monitor(virDomainPtr domain, json_t *command, int fd, json_t **ret_result,
                   struct error **err)
{
    _cleanup_(answer_freep) char *text = json_dumps(command, JSON_COMPACT), *answer = NULL;
    _cleanup_free_ char *verb = str_dup(text_of(command, "execute"));
    json_t *reply;
    int r = 0;

    json_decref(command);
    if (virDomainQemuMonitorCommandWithFiles(domain, text, fd >= 0, fd >= 0 ? &fd : NULL, NULL,
                                             NULL, &answer, 0) < 0)
        return virt_error(err, "QEMU's monitor cannot be used");
    reply = json_loads(answer, 0, NULL);
    if (!json_object_get(reply, "return")) {
        const char *why = text_of(json_object_get(reply, "error"), "desc");

        r = error_set(err, EIO, "QEMU refuses %s: %s", verb, why ? why : "it gave no reason");
    } else if (ret_result) {
        *ret_result = json_incref(json_object_get(reply, "return"));
    }
    json_decref(reply);
    return r;
}

static bool is_export(const char *file, const char *disk)
{
    _cleanup_free_ char *plain = str_format("/%s?socket=", disk);
    _cleanup_free_ char *object = str_format("\"export\": \"%s\"", disk);

    return file && (strstr(file, plain) || strstr(file, object));
}

/* libvirt names the nodes of a disk libvirt-N-format and libvirt-N-storage; N, or 0 when it does
 * not. */
static unsigned number_of(const char *format)
{
    unsigned number = 0;
    char end;

    return format && sscanf(format, "libvirt-%u-forma%c", &number, &end) == 2 ? number : 0;
}

/* The number of the drive that is connected to the export of this disk; 0 when there is none (it
 * has been exchanged before). */
static int find_drive(virDomainPtr domain, const char *disk, unsigned *ret_number,
                      struct error **err)
{
    json_t *drives = NULL, *drive;
    int r = monitor(domain, json_pack("{s:s}", "execute", "query-block"), -1, &drives, err);
    size_t i;

    *ret_number = 0;

    json_array_foreach(drives, i, drive) {
        const json_t *inserted = json_object_get(drive, "inserted");

        if (!is_export(text_of(inserted, "file"), disk))
            continue;
        *ret_number = number_of(text_of(inserted, "node-name"));
        if (*ret_number == 0)
            r = error_set(err, EOPNOTSUPP, "disk %s has no node of its own above the connection, "
                          "so it cannot be exchanged while the VM runs", disk);
    }
    json_decref(drives);
    return r;
}

static json_t *file_node(const char *name, int fdset, bool block)
{
    return json_pack("{s:s, s:{s:s, s:s, s:o, s:b, s:s, s:s, s:s, s:{s:b, s:b}}}", "execute",
                     "blockdev-add", "arguments", "driver", block ? "host_device" : "file",
                     "node-name", name, "filename", json_sprintf("/dev/fdset/%d", fdset),
                     "read-only", 0, "aio", "native", "locking", "off", "discard", "unmap",
                     "cache", "direct", 1, "no-flush", 0);
}

static json_t *reopen(const char *format, const char *file)
{
    return json_pack("{s:s, s:{s:[{s:s, s:s, s:s, s:b, s:s, s:{s:b, s:b}}]}}", "execute",
                     "blockdev-reopen", "arguments", "options", "driver", "raw", "node-name",
                     format, "file", file, "read-only", 0, "discard", "unmap", "cache", "direct",
                     1, "no-flush", 0);
}

static json_t *with_argument(const char *verb, const char *name, json_t *value)
{
    return json_pack("{s:s, s:{s:o}}", "execute", verb, "arguments", name, value);
}

/* Opens the target and gives it to QEMU under a name; what an interrupted try left goes first. */
static int add_file(virDomainPtr domain, const char *path, const char *node, int fdset,
                    struct error **err)
{
    _cleanup_close_ int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    struct stat st;
    int r;

    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set_errno(err, errno, "cannot open target %s", path);
    monitor(domain, with_argument("blockdev-del", "node-name", json_string(node)), -1, NULL, NULL);
    monitor(domain, with_argument("remove-fd", "fdset-id", json_integer(fdset)), -1, NULL, NULL);
    r = monitor(domain, with_argument("add-fd", "fdset-id", json_integer(fdset)), fd, NULL, err);
    return r < 0 ? r : monitor(domain, file_node(node, fdset, S_ISBLK(st.st_mode)), -1, NULL, err);
}

static int exchange(virDomainPtr domain, const char *disk, const char *path, struct error **err)
{
    _cleanup_free_ char *file = NULL, *format = NULL, *storage = NULL;
    unsigned number;
    int r = find_drive(domain, disk, &number, err);

    if (r < 0 || number == 0)
        return r;
    file = str_format("slipway-%u-storage", number);
    format = str_format("libvirt-%u-format", number);
    storage = str_format("libvirt-%u-storage", number);
    r = add_file(domain, path, file, FDSET_FIRST + (int)number, err);
    if (r == 0)
        r = monitor(domain, reopen(format, file), -1, NULL, err);
    if (r < 0)
        return error_prefix(err, "disk %s", disk);
    /* The connection is of no use any more; should it stay, the engine asks it to go. */
    monitor(domain, with_argument("blockdev-del", "node-name", json_string(storage)), -1,
            NULL, NULL);
    return 0;
}

int node_reopen_disks(struct node *node, const char *name, const json_t *places,
                      struct error **err)
{
    _cleanup_node_domain_ virDomainPtr domain = NULL;
    int r = node_need(node, name, &domain, err);
    json_t *place;
    size_t i;

    json_array_foreach((json_t *)places, i, place)
        if (r == 0)
            r = exchange(domain, text_of(place, "name"), text_of(place, "path"), err);
    return r;
}
