/* SPDX-License-Identifier: Apache-2.0 */
#include "accel.h"

#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "clock.h"
#include "fdio.h"
#include "proc.h"
#include "str.h"

#define PROBE_TIMEOUT (10 * NS_PER_S)
/* libguestfs' default, see guestfs(3) */
#define GUESTFS_CACHEDIR "/var/tmp"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static const char kvm[] = "kvm", tcg[] = "tcg";

int accel_probe(const char *kernel, uint64_t timeout_ns)
{
    /* panic=-1 restarts at once and -no-reboot turns that into the end of QEMU. */
    const char *argv[] = {"qemu-system-x86_64",
                          "-accel",
                          "kvm",
                          "-cpu",
                          "host",
                          "-m",
                          "256",
                          "-nodefaults",
                          "-display",
                          "none",
                          "-serial",
                          "stdio",
                          "-no-reboot",
                          "-kernel",
                          kernel,
                          "-append",
                          "console=ttyS0 panic=-1 root=/dev/none",
                          NULL};
    _cleanup_free_ char *said = NULL;
    int r = proc_run((char *const *)argv, timeout_ns, &said, NULL);

    if (r == -ETIMEDOUT)
        return 0;
    if (r < 0)
        return r;
    return strstr(said, "Kernel panic - not syncing") ? 1 : -EIO;
}

static void keep_smallest(const char *pattern, char **smallest, off_t *size)
{
    glob_t found = {0};

    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++) {
            struct stat st;

            if (stat(found.gl_pathv[i], &st) < 0 || !S_ISREG(st.st_mode) ||
                access(found.gl_pathv[i], R_OK) < 0 || (*smallest && st.st_size >= *size))
                continue;
            str_replace(smallest, found.gl_pathv[i]);
            *size = st.st_size;
        }
    globfree(&found);
}

static char *find_kernel(void)
{
    const char *cache = getenv("LIBGUESTFS_CACHEDIR");
    _cleanup_free_ char *appliance = str_format("%s/.guestfs-%u/appliance.d/kernel",
                                                cache ? cache : GUESTFS_CACHEDIR, geteuid());
    char *kernel = NULL;
    off_t size = 0;

    keep_smallest("/boot/vmlinuz*", &kernel, &size);
    keep_smallest(appliance, &kernel, &size);
    return kernel;
}

const char *accel_cache_read(const char *path, const char *boot_id)
{
    _cleanup_free_ char *text = NULL;
    size_t n = strlen(boot_id);

    if (fdio_read_file(path, 256, &text, NULL) < 0 || strncmp(text, boot_id, n) != 0 ||
        text[n] != ' ')
        return NULL;
    text[strcspn(text, "\n")] = '\0';
    return strcmp(text + n + 1, kvm) == 0 ? kvm : strcmp(text + n + 1, tcg) == 0 ? tcg : NULL;
}

int accel_cache_write(const char *path, const char *boot_id, const char *name)
{
    _cleanup_free_ char *text = str_format("%s %s\n", boot_id, name);

    return fdio_replace_file(path, text, strlen(text), 0644);
}

/* NULL when this user has no place that a reboot empties. */
static char *cache_path(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    if (geteuid() == 0)
        return fdio_make_dirs("/run/slipway", 0755) == 0 ? str_dup("/run/slipway/accel") : NULL;
    return runtime && *runtime == '/' ? str_format("%s/slipway-accel", runtime) : NULL;
}

static bool kvm_opens(void)
{
    _cleanup_close_ int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    struct utsname host;

    return fd >= 0 && uname(&host) == 0 && strcmp(host.machine, "x86_64") == 0;
}

static const char *find_out(void)
{
    _cleanup_free_ char *boot_id = NULL, *path = cache_path(), *kernel = NULL;
    const char *name;
    int r;

    if (fdio_read_file(BOOT_ID, 256, &boot_id, NULL) < 0)
        boot_id = str_dup("unknown");
    boot_id[strcspn(boot_id, "\n")] = '\0';
    name = path ? accel_cache_read(path, boot_id) : NULL;
    if (name)
        return name;
    kernel = find_kernel();
    if (!kernel) /* not kept: a kernel may be installed any time */
        return tcg;
    r = accel_probe(kernel, PROBE_TIMEOUT);
    name = r > 0 ? kvm : tcg;
    if (path && r >= 0) /* what fails at once may be asked again, and may be repaired by then */
        accel_cache_write(path, boot_id, name);
    return name;
}

int accel_choose(const char **ret_name)
{
    const char *wanted = getenv("SLIPWAY_ACCEL");

    *ret_name = tcg;
    if (wanted && *wanted) {
        if (strcmp(wanted, kvm) == 0)
            *ret_name = kvm;
        return strcmp(wanted, kvm) == 0 || strcmp(wanted, tcg) == 0 ? 0 : -EINVAL;
    }
    if (kvm_opens())
        *ret_name = find_out();
    return 0;
}
