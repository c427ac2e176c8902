/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/inspect.h"

#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"
#include "morph/netpins.h"
#include "morph/windows.h"

int inspect_is_root(const struct tree *tree)
{
    return (tree_exists(tree, "/etc/fstab") || tree_exists(tree, "/etc/passwd")) &&
           (tree_exists(tree, "/etc/os-release") || tree_exists(tree, "/usr/lib/os-release") ||
            tree_exists(tree, "/etc/debian_version"));
}

/* The value of KEY=value or KEY="value" in os-release; "" when it is not there. */
static char *release_value(const char *text, const char *key)
{
    size_t n = strlen(key);

    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        size_t length = strcspn(text, "\n");

        if (length <= n || strncmp(text, key, n) != 0 || text[n] != '=')
            continue;
        text += n + 1;
        length -= n + 1;
        if (length >= 2 && strchr("\"'", *text) && text[length - 1] == *text) {
            text++;
            length -= 2;
        }
        return str_format("%.*s", (int)MIN(length, (size_t)200), text);
    }
    return str_dup("");
}

int inspect_os(const struct tree *tree, struct os *ret_os, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    int r = tree_text(tree, "/etc/os-release", &text, err);

    if (r == 0)
        r = tree_text(tree, "/usr/lib/os-release", &text, err);
    if (r < 0)
        return r;
    if (!text)
        text = str_dup("");
    *ret_os = (struct os){.id = release_value(text, "ID"),
                          .like = release_value(text, "ID_LIKE"),
                          .version = release_value(text, "VERSION_ID"),
                          .pretty = release_value(text, "PRETTY_NAME")};
    if (!*ret_os->pretty)
        str_replace(&ret_os->pretty, *ret_os->id ? ret_os->id : "an unknown Linux");
    return 0;
}

void os_done(struct os *os)
{
    free(os->id);
    free(os->like);
    free(os->version);
    free(os->pretty);
    *os = (struct os){0};
}

const char *family_name(enum family family)
{
    static const char *const names[] = {"other", "debian", "redhat", "suse",
                                        "arch",  "alpine", "windows"};

    return names[family];
}

const char *firmware_name(enum firmware firmware)
{
    static const char *const names[] = {"unknown", "bios", "uefi", "both"};

    return names[firmware];
}

static bool has_id(const struct os *os, const char *id)
{
    size_t n = strlen(id);

    if (strcmp(os->id, id) == 0)
        return true;
    for (const char *at = os->like; (at = strstr(at, id)); at += n)
        if ((at == os->like || at[-1] == ' ') && (at[n] == '\0' || at[n] == ' '))
            return true;
    return false;
}

enum family inspect_family(const struct os *os)
{
    static const struct {
        const char *id;
        enum family family;
    } ids[] = {
        {"debian", FAMILY_DEBIAN}, {"ubuntu", FAMILY_DEBIAN},    {"rhel", FAMILY_REDHAT},
        {"fedora", FAMILY_REDHAT}, {"centos", FAMILY_REDHAT},    {"rocky", FAMILY_REDHAT},
        {"ol", FAMILY_REDHAT},     {"almalinux", FAMILY_REDHAT}, {"suse", FAMILY_SUSE},
        {"sles", FAMILY_SUSE},     {"opensuse", FAMILY_SUSE},    {"arch", FAMILY_ARCH},
        {"alpine", FAMILY_ALPINE},
    };

    for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
        if (has_id(os, ids[i].id))
            return ids[i].family;
    return FAMILY_OTHER;
}

bool facts_is_linux(const struct facts *facts)
{
    return facts->family != FAMILY_OTHER && facts->family != FAMILY_WINDOWS;
}

bool facts_is_windows(const struct facts *facts)
{
    return facts->family == FAMILY_WINDOWS;
}

void facts_mounted(struct facts *facts, const char *directory)
{
    char **mounted = reallocarray(facts->mounted, facts->mounted_count + 1, sizeof(char *));

    if (!mounted)
        abort();
    facts->mounted = mounted;
    mounted[facts->mounted_count++] = str_dup(directory);
}

bool facts_is_mounted(const struct facts *facts, const char *directory)
{
    for (size_t i = 0; i < facts->mounted_count; i++)
        if (strcmp(facts->mounted[i], directory) == 0)
            return true;
    return false;
}

void facts_done(struct facts *facts)
{
    for (size_t i = 0; i < facts->mounted_count; i++)
        free(facts->mounted[i]);
    free(facts->mounted);
    netpins_forget(facts);
    free(facts->wanted_kernel);
    windows_free(facts->windows);
    facts_forget_kernels(facts);
    volume_list_done(&facts->volumes);
    os_done(&facts->os);
    *facts = (struct facts){0};
}
