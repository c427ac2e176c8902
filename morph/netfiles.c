/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/netfiles.h"

#include <fnmatch.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"

#define FILES_MAX 1024

/* Configuration of networks is small; what is larger would only take time. */
#define TEXT_MAX ((size_t)256 << 10)

/* Those up to NAMING only give names to cards. */
#define NAMING 3
static const struct netstyle *const styles[] = {
    &netstyle_rules,      &netstyle_link,         &netstyle_mactab,      &netstyle_mdev,
    &netstyle_interfaces, &netstyle_interfaces_d, &netstyle_ifcfg,       &netstyle_sysconfig,
    &netstyle_routes,     &netstyle_ifcfg_suse,   &netstyle_routes_suse, &netstyle_wicked,
    &netstyle_netdev,     &netstyle_network,      &netstyle_keyfile,     &netstyle_netctl,
    &netstyle_netplan,
};

const char *netfile_name(const struct netfile *file)
{
    return strrchr(file->path, '/') + 1;
}

void netfiles_done(struct netfiles *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].path);
        free(files->items[i].text);
    }
    free(files->items);
    *files = (struct netfiles){0};
}

const struct netfile *netfiles_find(const struct netfiles *files, const char *path)
{
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->items[i].path, path) == 0)
            return &files->items[i];
    return NULL;
}

static int add_file(struct facts *facts, struct plan *plan, struct netfiles *files,
                    const struct netstyle *style, const char *path, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    _cleanup_free_ char *text = NULL;
    int r = files->count < FILES_MAX && !netfiles_find(files, path)
                ? plan_text(plan, &facts->tree, path, &text, &why)
                : 0;

    if (r > 0 && strlen(text) > TEXT_MAX)
        r = error_set(&why, EFBIG, "it is larger than %zu KiB", TEXT_MAX >> 10);
    if (r == -EBADMSG || r == -EFBIG) {
        plan_warn(plan, "network", "%s is not looked at: %s", path, error_text(why));
        return 0;
    }
    if (r <= 0)
        return r < 0 ? error_move(err, &why) : 0;
    files->items = reallocarray(files->items, files->count + 1, sizeof(*files->items));
    if (!files->items)
        abort();
    files->items[files->count++] = (struct netfile){style, str_dup(path), steal_ptr(text)};
    return 0;
}

static int add_only(struct facts *facts, struct plan *plan, struct netfiles *files,
                    const struct netstyle *style, struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/%s", style->directory, style->only);

    return add_file(facts, plan, files, style, path, err);
}

/* All files of a directory whose names match; pattern may be NULL. */
static int add_directory(struct facts *facts, struct plan *plan, struct netfiles *files,
                         const struct netstyle *style, const char *directory, const char *pattern,
                         struct error **err)
{
    _cleanup_names_ char **names = NULL;
    int r = tree_list(&facts->tree, directory, &names, err);

    for (char **n = names; r == 0 && n && *n; n++) {
        _cleanup_free_ char *path = str_format("%s/%s", directory, *n);

        if (**n && style->takes(*n) && (!pattern || fnmatch(pattern, *n, FNM_PERIOD) == 0))
            r = add_file(facts, plan, files, style, path, err);
    }
    return r;
}

/* Files an interfaces file includes from elsewhere than interfaces.d. */
static int add_sources(struct facts *facts, struct plan *plan, struct netfiles *files,
                       struct error **err)
{
    const struct netfile *main_file = netfiles_find(files, "/etc/network/interfaces");
    _cleanup_free_ char *copy = main_file ? str_dup(main_file->text) : NULL;
    const char *text = copy;
    char *pattern;
    int r = 0;

    for (int n = 0; r == 0 && text && n < 64 && interfaces_next_source(&text, &pattern); n++) {
        char *slash = strrchr(pattern, '/');

        *slash = '\0';
        if (*pattern)
            r = add_directory(facts, plan, files, &netstyle_interfaces_d, pattern, slash + 1, err);
        free(pattern);
    }
    return r;
}

int netfiles_read(struct facts *facts, struct plan *plan, struct netfiles *ret_files,
                  struct error **err)
{
    int r = 0;

    *ret_files = (struct netfiles){0};
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(styles); i++) {
        r = styles[i]->only
                ? add_only(facts, plan, ret_files, styles[i], err)
                : add_directory(facts, plan, ret_files, styles[i], styles[i]->directory, NULL, err);
        if (r == 0 && styles[i] == &netstyle_interfaces)
            r = add_sources(facts, plan, ret_files, err);
    }
    return r;
}

static bool only_names(const struct netstyle *style)
{
    for (size_t i = 0; i < NAMING; i++)
        if (styles[i] == style)
            return true;
    return false;
}

void netfiles_tell(const struct netfiles *files, const struct request *request,
                   struct netconfig *config)
{
    config->nics = request->nics;
    config->nic_count = request->nic_count;
    for (size_t i = 0; i < files->count; i++) {
        const struct netfile *f = &files->items[i];

        config->configuring = !only_names(f->style);
        if (f->style->read)
            f->style->read(config, netfile_name(f), f->text);
    }
}
