/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/drivertable.h"

#include <string.h>
#include <strings.h>

#include "base/align.h"
#include "base/str.h"

#define SYSTEMS 6

/* The first row that fits counts; its directories, best first. */
static const struct {
    unsigned major, minor, build; /* at least this build of this version */
    bool server;
    const char *systems[SYSTEMS];
} rows[] = {
    {10, 0, 26100, true, {"2k25", "2k22", "2k19", "2k16", "w11", "w10"}},
    {10, 0, 20348, true, {"2k22", "2k19", "2k16", "w10"}},
    {10, 0, 17763, true, {"2k19", "2k16", "w10"}},
    {10, 0, 0, true, {"2k16", "w10"}},
    {10, 0, 22000, false, {"w11", "w10"}},
    {10, 0, 0, false, {"w10", "2k16"}},
    {6, 3, 0, true, {"2k12r2", "w8.1"}},
    {6, 3, 0, false, {"w8.1", "2k12r2"}},
    {6, 2, 0, true, {"2k12", "w8"}},
    {6, 2, 0, false, {"w8", "2k12"}},
    {6, 1, 0, true, {"2k8r2", "w7"}},
    {6, 1, 0, false, {"w7", "2k8r2"}},
    {6, 0, 0, true, {"2k8", "vista"}},
    {6, 0, 0, false, {"vista", "2k8"}},
    {5, 2, 0, true, {"2k3"}},
    {5, 2, 0, false, {"2k3"}}, /* XP for 64 bit */
    {5, 1, 0, false, {"xp"}},
};

/* Files of a driver begin with its name: netkvm.sys, netkvmco.exe. */
static const char *const drivers[] = {"viostor", "vioscsi", "netkvm", "balloon", "vioser", "viorng",
                                      /* the drivers' installer of old Windows */
                                      "wdfcoinstaller"};

static const char *const *systems_of(const struct windows *w)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].major == w->major && rows[i].minor == w->minor && rows[i].build <= w->build &&
            rows[i].server == w->is_server)
            return rows[i].systems;
    return NULL;
}

const char *drivertable_system(const struct windows *w)
{
    const char *const *systems = systems_of(w);

    return systems ? systems[0] : "";
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* True when a directory of the path is called `name`. */
static bool has_directory(const char *path, const char *name)
{
    size_t n = strlen(name);

    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1)
        if ((size_t)(slash - path) == n && strncasecmp(path, name, n) == 0)
            return true;
    return false;
}

static bool arch_fits(const char *path, enum windows_arch arch)
{
    switch (arch) {
    case WINDOWS_X86:
        return has_directory(path, "x86") || has_directory(path, "i386");
    case WINDOWS_AMD64:
        return has_directory(path, "amd64") || has_directory(path, "x64");
    case WINDOWS_ARM64:
        return has_directory(path, "arm64");
    }
    return false;
}

/* What Windows needs to install the driver; no debugging symbols. */
static bool is_wanted(const char *path)
{
    static const char *const endings[] = {".sys", ".inf", ".cat", ".dll", ".exe"};
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot && i < ARRAY_SIZE(endings); i++)
        if (strcasecmp(dot, endings[i]) == 0)
            /* There netkvm has another form, for cards that are passed through. */
            return !has_directory(path, "sriov");
    return false;
}

static bool match_agent(const char *name, const struct windows *w, struct drivermatch *ret_match)
{
    static const struct {
        const char *name;
        enum windows_arch arch;
        unsigned rank;
    } installers[] = {
        {"qemu-ga-x86_64.msi", WINDOWS_AMD64, 0},  {"qemu-ga-x64.msi", WINDOWS_AMD64, 1},
        {"qemu-ga-i386.msi", WINDOWS_X86, 0},      {"qemu-ga-x86.msi", WINDOWS_X86, 1},
        {"qemu-ga-aarch64.msi", WINDOWS_ARM64, 0}, {"qemu-ga-arm64.msi", WINDOWS_ARM64, 1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(installers); i++) {
        if (installers[i].arch == w->arch && strcasecmp(name, installers[i].name) == 0) {
            *ret_match = (struct drivermatch){DRIVER_AGENT, installers[i].rank};
            return true;
        }
    }
    return false;
}

bool drivertable_match(const char *path, const struct windows *w, struct drivermatch *ret_match)
{
    const char *const *systems = systems_of(w);
    const char *name = file_name(path), *driver = NULL;

    if (match_agent(name, w, ret_match))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
        if (strncasecmp(name, drivers[i], strlen(drivers[i])) == 0)
            driver = drivers[i];
    if (!driver || !systems || !is_wanted(path) || !arch_fits(path, w->arch))
        return false;
    for (unsigned rank = 0; rank < SYSTEMS && systems[rank]; rank++) {
        if (has_directory(path, systems[rank])) {
            *ret_match = (struct drivermatch){driver, rank};
            return true;
        }
    }
    return false;
}
