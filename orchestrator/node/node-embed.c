/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of libvirt's embedded driver. */
#include <glob.h>
#include <signal.h>
#include <string.h>

#include "base/fdio.h"
#include "base/proc.h"
#include "base/str.h"
#include "orchestrator/node/node-libvirt.h"

#define CMDLINE_MAX (128 << 10)

/*
 * What libvirt needs to run QEMU without daemons of its own: no virtlogd (stdio_handler), no
 * security driver, no mount namespaces and no cgroups that a container may not have.  QEMU runs as
 * the user who owns the targets.
 */
static const char qemu_conf[] =
    "# Written by Slipway when this directory was made; yours to edit.\n"
    "security_driver = \"none\"\n"
    "namespaces = []\n"
    "cgroup_controllers = []\n"
    "remember_owner = 0\n"
    "stdio_handler = \"file\"\n";
static const char qemu_conf_root[] = "user = \"root\"\ngroup = \"root\"\n";

/* The pid in a file, or 0. */
static pid_t pid_of_file(const char *path)
{
    _cleanup_free_ char *text = NULL;

    return fdio_read_file(path, 64, &text, NULL) < 0 ? 0 : (pid_t)strtol(text, NULL, 10);
}

/* True when a process, be it this one, has the driver open (or its pid was given to another one).
 */
static bool driver_is_open(const char *root)
{
    _cleanup_free_ char *path = str_format("%s/run/qemu/driver.pid", root);
    pid_t pid = pid_of_file(path);

    return pid > 0 && proc_alive(pid);
}

/* True when the command line of pid names this pid file: it is still the same program. */
static bool is_probe(pid_t pid, const char *pid_file)
{
    _cleanup_free_ char *path = str_format("/proc/%d/cmdline", (int)pid), *text = NULL;
    size_t length;

    return pid > 0 && fdio_read_file(path, CMDLINE_MAX, &text, &length) == 0 &&
           memmem(text, length, pid_file, strlen(pid_file));
}

/* libvirt asks QEMU what it can do by starting it in the background; when the asking process is
 * killed nobody ends those. */
static void end_probes(const char *root)
{
    _cleanup_free_ char *pattern = str_format("%s/lib/qemu/qmp-*/qmp.pid", root);
    glob_t found = {0};

    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++) {
            pid_t pid = pid_of_file(found.gl_pathv[i]);

            if (is_probe(pid, found.gl_pathv[i]))
                kill(pid, SIGKILL);
        }
    globfree(&found);
}

int node_embed_prepare(const char *root, struct error **err)
{
    _cleanup_free_ char *etc = str_format("%s/etc", root);
    _cleanup_free_ char *conf = str_format("%s/qemu.conf", etc);
    _cleanup_free_ char *text = str_format("%s%s", qemu_conf, geteuid() == 0 ? qemu_conf_root : "");
    int r = fdio_make_dirs(etc, 0755);

    if (r == 0 && access(conf, F_OK) < 0)
        r = fdio_replace_file(conf, text, strlen(text), 0644);
    if (r < 0)
        return error_set_errno(err, -r, "cannot prepare %s for libvirt's embedded driver", root);
    if (!driver_is_open(root))
        end_probes(root);
    return 0;
}
