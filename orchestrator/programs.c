/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/programs.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/align.h"
#include "base/cleanup.h"
#include "base/str.h"

static const struct {
    const char *name;
    const char *build_folder; /* below the build tree */
    const char *install_folder;
} places[] = {
    {"slipway-store", "engine", SLIPWAY_LIBEXECDIR},
    {"slipway-morph", "morph", SLIPWAY_LIBEXECDIR},
    {"slipwayfs", "fusefs", SLIPWAY_BINDIR},
    {"nbdkit-slipway-plugin.so", "nbdplugin", SLIPWAY_PLUGINDIR},
};

/* This program's build tree: our programs are one folder below it.  NULL when it is elsewhere. */
static char *build_tree(void)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    if (n < 0)
        return NULL;
    self[n] = '\0';
    for (int up = 0; up < 2; up++) {
        slash = strrchr(self, '/');
        if (!slash)
            return NULL;
        *slash = '\0';
    }
    return str_dup(self);
}

char *program_path(const char *name)
{
    const char *libexec = getenv("SLIPWAY_LIBEXEC");
    _cleanup_free_ char *tree = build_tree();
    const char *install = SLIPWAY_LIBEXECDIR;

    if (libexec && *libexec)
        return str_format("%s/%s", libexec, name);
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        _cleanup_free_ char *built = NULL;

        if (strcmp(places[i].name, name) != 0)
            continue;
        install = places[i].install_folder;
        built = tree ? str_format("%s/%s/%s", tree, places[i].build_folder, name) : NULL;
        if (built && access(built, R_OK) == 0)
            return steal_ptr(built);
    }
    return str_format("%s/%s", install, name);
}
