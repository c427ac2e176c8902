/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/windows.h"

#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/sha256.h"
#include "morph/winpath.h"

#define PROGRAM_MAX ((size_t)16 << 20)
#define TEXT_MAX 120
#define NT "Microsoft\\Windows NT\\CurrentVersion"

const char *windows_arch_name(enum windows_arch arch)
{
    static const char *const names[] = {"x86", "amd64", "arm64"};

    return names[arch];
}

bool windows_since(const struct windows *w, unsigned major, unsigned minor)
{
    return w->major > major || (w->major == major && w->minor >= minor);
}

static bool is_root(const struct tree *tree, const char *directory)
{
    static const char *const files[] = {"SYSTEM", "SOFTWARE"};

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        _cleanup_free_ char *path = str_format("%s/System32/config/%s", directory, files[i]);
        _cleanup_free_ char *found = winpath_find(tree, path);

        if (!found)
            return false;
    }
    return true;
}

char *windows_find_root(const struct tree *tree)
{
    static const char *const usual[] = {"/Windows", "/WINNT"};
    _cleanup_names_ char **names = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
        _cleanup_free_ char *found = winpath_find(tree, usual[i]);

        if (found && is_root(tree, found))
            return steal_ptr(found);
    }
    if (tree_list(tree, "/", &names, NULL) < 0)
        return NULL;
    for (char **n = names; *n; n++) {
        _cleanup_free_ char *directory = str_format("/%s", *n);

        if (tree_kind(tree, directory) == TREE_DIR && is_root(tree, directory))
            return steal_ptr(directory);
    }
    return NULL;
}

static int read_hive(const struct tree *tree, const char *root, const char *name, char **ret_path,
                     struct hive **ret_hive, char ret_hash[EDIT_HASH], struct error **err)
{
    _cleanup_free_ char *wanted = str_format("%s/System32/config/%s", root, name);
    _cleanup_free_ char *path = winpath_find(tree, wanted), *data = NULL;
    size_t length;
    int r = path ? tree_read(tree, path, HIVE_MAX, &data, &length, err) : -ENOENT;

    if (r == -ENOENT)
        return error_set(err, ENOENT, "the guest's registry hive %s is missing", wanted);
    if (r < 0)
        return r;
    sha256_hex(data, length, NULL, 0, ret_hash);
    r = hive_open(name, data, length, ret_hive, err);
    if (r == 0)
        *ret_path = steal_ptr(path);
    return r;
}

static int read_control_set(struct windows *w, struct error **err)
{
    uint32_t number;

    if (!hive_number(w->system, "Select", "Current", &number) &&
        !hive_number(w->system, "Select", "Default", &number))
        number = 1;
    w->control_set = str_format("ControlSet%03u", number);
    if (hive_has_key(w->system, w->control_set))
        return 0;
    return error_set(err, EBADMSG,
                     "the guest's registry hive SYSTEM says that it uses %s, which it does not "
                     "have; start the guest in the source, shut it down and sync again",
                     w->control_set);
}

/* Only what a person may see in a report: the guest wrote it. */
static char *shown(char *text)
{
    if (text && strlen(text) > TEXT_MAX)
        text[TEXT_MAX] = '\0';
    for (char *p = text; p && *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    return text;
}

/* "6.1" of Windows up to 8.1; 10 and later say 6.3 there and have numbers of their own. */
static void read_version(struct windows *w)
{
    _cleanup_free_ char *version = hive_text(w->software, NT, "CurrentVersion");
    _cleanup_free_ char *build = hive_text(w->software, NT, "CurrentBuildNumber");
    uint32_t major, minor = 0;

    if (hive_number(w->software, NT, "CurrentMajorVersionNumber", &major)) {
        hive_number(w->software, NT, "CurrentMinorVersionNumber", &minor);
        w->major = major;
        w->minor = minor;
    } else if (version) {
        char *end;

        w->major = (unsigned)strtoul(version, &end, 10);
        w->minor = *end == '.' ? (unsigned)strtoul(end + 1, NULL, 10) : 0;
    }
    if (!build)
        build = hive_text(w->software, NT, "CurrentBuild");
    w->build = build ? (unsigned)strtoul(build, NULL, 10) : 0;
}

static void read_product(struct windows *w)
{
    static const char wrong[] = "Windows 10";
    _cleanup_free_ char *key = windows_key(w, "Control\\ProductOptions");
    _cleanup_free_ char *type = hive_text(w->system, key, "ProductType");
    _cleanup_free_ char *installed = hive_text(w->software, NT, "InstallationType");
    char *name = shown(hive_text(w->software, NT, "ProductName"));

    w->is_server = type ? strcasecmp(type, "WinNT") != 0
                        : installed && strncasecmp(installed, "Server", 6) == 0;
    /* Windows 11 calls itself 10 in the registry. */
    if (name && !w->is_server && w->build >= 22000 && str_starts(name, wrong)) {
        w->product = str_format("Windows 11%s", name + strlen(wrong));
        free(name);
    } else {
        w->product = name ? name : str_format("Windows %u.%u", w->major, w->minor);
    }
}

/* Machine field of a program's PE header. */
static unsigned program_machine(const struct tree *tree, const char *root)
{
    _cleanup_free_ char *wanted = str_format("%s/System32/cmd.exe", root);
    _cleanup_free_ char *path = winpath_find(tree, wanted), *data = NULL;
    const unsigned char *p;
    size_t length, at;

    if (!path || tree_read(tree, path, PROGRAM_MAX, &data, &length, NULL) < 0 || length < 64)
        return 0;
    p = (const unsigned char *)data;
    at = p[60] | (size_t)p[61] << 8 | (size_t)p[62] << 16 | (size_t)p[63] << 24;
    if (memcmp(p, "MZ", 2) != 0 || at > length - 6 || memcmp(p + at, "PE\0\0", 4) != 0)
        return 0;
    return p[at + 4] | (unsigned)p[at + 5] << 8;
}

static int read_arch(struct windows *w, const struct tree *tree, struct error **err)
{
    static const struct {
        const char *name;
        unsigned machine;
        enum windows_arch arch;
    } known[] = {
        {"x86", 0x14c, WINDOWS_X86},
        {"AMD64", 0x8664, WINDOWS_AMD64},
        {"ARM64", 0xaa64, WINDOWS_ARM64},
    };
    _cleanup_free_ char *key = windows_key(w, "Control\\Session Manager\\Environment");
    _cleanup_free_ char *name = shown(hive_text(w->system, key, "PROCESSOR_ARCHITECTURE"));
    unsigned machine = name ? 0 : program_machine(tree, w->root);

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (name ? strcasecmp(name, known[i].name) == 0 : machine == known[i].machine) {
            w->arch = known[i].arch;
            return 0;
        }
    }
    return error_set(err, ENOTSUP, "the guest runs %s on a processor that is not known here ('%s')",
                     w->product, name ? name : "unknown");
}

static int check_version(const struct windows *w, struct error **err)
{
    bool known = (w->major == 5 && (w->minor == 1 || w->minor == 2)) ||
                 (w->major == 6 && w->minor <= 3) || (w->major == 10 && w->minor == 0);

    if (known)
        return 0;
    return error_set(err, ENOTSUP,
                     "the guest runs %s (version %u.%u), which this version does not know; Windows "
                     "XP to 11 and Server 2003 to 2025 are known",
                     w->product, w->major, w->minor);
}

int windows_read(const struct tree *tree, const char *root, struct windows **ret_windows,
                 struct error **err)
{
    _cleanup_windows_ struct windows *w = mem_new(1, sizeof(*w));
    int r;

    w->root = str_dup(root);
    r = read_hive(tree, root, "SOFTWARE", &w->software_path, &w->software, w->hash.software, err);
    if (r == 0)
        r = read_hive(tree, root, "SYSTEM", &w->system_path, &w->system, w->hash.system, err);
    if (r == 0)
        r = read_control_set(w, err);
    if (r < 0)
        return r;
    read_version(w);
    read_product(w);
    r = check_version(w, err);
    if (r == 0)
        r = read_arch(w, tree, err);
    if (r == 0)
        *ret_windows = steal_ptr(w);
    return r;
}

struct windows *windows_free(struct windows *w)
{
    if (!w)
        return NULL;
    free(w->device);
    free(w->esp);
    free(w->root);
    free(w->system_path);
    free(w->software_path);
    hive_free(w->system);
    hive_free(w->software);
    free(w->control_set);
    free(w->product);
    buffer_done(&w->system_what);
    buffer_done(&w->software_what);
    buffer_done(&w->steps);
    free(w);
    return NULL;
}

/* Windows keeps local time in the hardware clock unless somebody has set this (a number of 32 or
 * 64 bits). */
static bool clock_is_utc(const struct windows *w)
{
    _cleanup_free_ char *key = windows_key(w, "Control\\TimeZoneInformation");
    size_t length = 0;
    uint32_t type;
    _cleanup_free_ char *data = hive_bytes(w->system, key, "RealTimeIsUniversal", &type, &length);

    return data && length >= 4 && data[0] == 1;
}

void windows_tell(struct windows *w, struct facts *facts)
{
    facts->firmware = FIRMWARE_BIOS;
    for (size_t i = 0; i < facts->volumes.count; i++)
        if (facts->volumes.items[i].esp)
            facts->firmware = FIRMWARE_UEFI;
    facts->clock_utc = clock_is_utc(w);
    facts->family = FAMILY_WINDOWS;
    facts->windows = w;
    facts->os = (struct os){.id = str_dup("windows"),
                            .like = str_dup(""),
                            .version = str_format("%u.%u.%u", w->major, w->minor, w->build),
                            .pretty = str_dup(w->product)};
}

char *windows_key(const struct windows *w, const char *fmt, ...)
{
    struct buffer path = {0};
    char *rest;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&rest, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    buffer_printf(&path, "%s\\%s", w->control_set, rest);
    free(rest);
    return buffer_steal(&path);
}

char *windows_path(const struct facts *facts, const char *below)
{
    _cleanup_free_ char *path = str_format("%s/%s", facts->windows->root, below);

    return winpath_resolve(&facts->tree, path);
}

bool windows_has_boot_driver(const struct facts *facts, const char *service)
{
    _cleanup_free_ char *key = windows_key(facts->windows, "Services\\%s", service);
    _cleanup_free_ char *below = str_format("System32/drivers/%s.sys", service);
    _cleanup_free_ char *file = windows_path(facts, below);
    uint32_t start;

    return hive_number(facts->windows->system, key, "Start", &start) && start == 0 &&
           tree_kind(&facts->tree, file) == TREE_FILE;
}
