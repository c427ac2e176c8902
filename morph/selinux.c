/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/selinux.h"

#include <selinux/label.h>
#include <selinux/selinux.h>
#include <string.h>
#include <sys/stat.h>

#include "base/align.h"
#include "base/fdio.h"
#include "base/str.h"
#include "morph/filecontexts.h"

struct selinux {
    struct selabel_handle *handle;
};

/* libselinux complains on standard error about lines it does not like. */
static int keep_quiet(int type, const char *fmt, ...)
{
    return 0;
}

/* Copies one file of the policy, filtered; 1 when something was in it. */
static int copy_file(const struct tree *tree, const char *from, const char *suffix,
                     const char *directory, struct error **err)
{
    bool subs = strncmp(suffix, ".subs", 5) == 0;
    _cleanup_free_ char *path = str_format("%s%s", from, suffix), *text = NULL;
    _cleanup_free_ char *to = str_format("%s/file_contexts%s", directory, suffix);
    _cleanup_buffer_ struct buffer out = {0};
    int r = tree_text(tree, path, &text, err);

    if (r <= 0)
        return r;
    if ((subs ? filecontexts_filter_subs(text, &out) : filecontexts_filter(text, &out)) == 0)
        return 0;
    r = fdio_replace_file(to, out.data, out.length, 0600);
    return r < 0 ? error_set_errno(err, -r, "cannot write '%s'", to) : 1;
}

/* Fills the private directory; 1 when there is a policy. */
static int copy_policy(const struct tree *tree, const char *policy, const char *directory,
                       struct error **err)
{
    static const char *const more[] = {".homedirs", ".local", ".subs", ".subs_dist"};
    _cleanup_free_ char *from = str_format("/etc/selinux/%s/contexts/files/file_contexts", policy);
    int found = copy_file(tree, from, "", directory, err), r = found;

    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(more); i++)
        r = copy_file(tree, from, more[i], directory, err);
    return r < 0 ? r : found;
}

static struct selinux *open_copy(const char *directory)
{
    _cleanup_free_ char *path = str_format("%s/file_contexts", directory);
    const struct selinux_opt option = {SELABEL_OPT_PATH, path};
    struct selabel_handle *handle;
    struct selinux *s;

    selinux_set_callback(SELINUX_CB_LOG, (union selinux_callback){.func_log = keep_quiet});
    handle = selabel_open(SELABEL_CTX_FILE, &option, 1);
    if (!handle)
        return NULL;
    s = mem_new(1, sizeof(*s));
    s->handle = handle;
    return s;
}

int selinux_open(const struct tree *tree, struct selinux **ret, struct error **err)
{
    const char *tmp = getenv("TMPDIR");
    _cleanup_free_ char *config = NULL, *policy = NULL;
    _cleanup_free_ char *directory =
        str_format("%s/slipway-selinux-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    int r = tree_text(tree, "/etc/selinux/config", &config, err);

    *ret = NULL;
    if (r <= 0)
        return r;
    policy = selinux_policy(config);
    if (!policy)
        return 0;
    if (!mkdtemp(directory))
        return error_set_errno(err, errno, "cannot make the directory '%s'", directory);
    r = copy_policy(tree, policy, directory, err);
    if (r > 0)
        *ret = open_copy(directory);
    fdio_remove_tree(directory);
    return r < 0 ? r : 1;
}

struct selinux *selinux_free(struct selinux *s)
{
    if (s)
        selabel_close(s->handle);
    free(s);
    return NULL;
}

char *selinux_label(struct selinux *s, const char *path, enum tree_kind kind)
{
    int mode = kind == TREE_DIR ? S_IFDIR : kind == TREE_LINK ? S_IFLNK : S_IFREG;
    char *found = NULL, *label = NULL;

    if (selabel_lookup_raw(s->handle, &found, path, mode) < 0)
        return NULL;
    if (selinux_context_is_sane(found, strlen(found)))
        label = str_dup(found);
    freecon(found);
    return label;
}
