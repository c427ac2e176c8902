/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may log in.  All that is in the guest stays unless the caller says otherwise: a key is added
 * to a user (--ssh-key), or passwords are locked (--drop-credentials).
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/account.h"
#include "morph/change.h"
#include "morph/fstab.h"
#include "morph/sshkey.h"

static bool is_below(const char *path, const char *directory)
{
    size_t n = strlen(directory);

    return strncmp(path, directory, n) == 0 && path[n] == '/';
}

/* Is directory on a filesystem of its own that is not mounted here?  Then a file written there
 * would be hidden below it. */
static int check_mounted(struct facts *facts, const char *user, const char *directory,
                         struct error **err)
{
    _cleanup_free_ char *text = NULL;
    struct fstab_line line;
    const char *cursor;
    int r = tree_text(&facts->tree, "/etc/fstab", &text, err);

    cursor = text;
    while (r > 0 && fstab_next(&cursor, &line)) {
        _cleanup_free_ char *where = fstab_field(&line, 1);

        for (size_t n = strlen(where); n > 1 && where[n - 1] == '/'; n--)
            where[n - 1] = '\0';
        if (strlen(where) < 2 || !is_below(directory, where) || facts_is_mounted(facts, where))
            continue;
        return error_set(err, ENOTSUP,
                         "--ssh-key: the home of '%s' is on the filesystem for %s, which is on no "
                         "disk of the VM; give a user whose home is elsewhere, as root",
                         user, where);
    }
    return r < 0 ? r : 0;
}

/* authorized_keys and the directory it is in.  A link there could make this write any file of the
 * guest in the name of root; whoever owns the home may have put it there. */
static int check_places(struct facts *facts, const char *user, const struct account *account,
                        const char *directory, const char *file, struct error **err)
{
    enum tree_kind home = tree_kind(&facts->tree, account->home);
    enum tree_kind kind = tree_kind(&facts->tree, directory);

    if (home != TREE_DIR && home != TREE_LINK)
        return error_set(err, ENOENT, "--ssh-key: the home of '%s', %s, is not in the guest", user,
                         account->home);
    if (kind != TREE_NONE && kind != TREE_DIR)
        return error_set(err, ENOTDIR, "--ssh-key: %s in the guest is no directory", directory);
    kind = tree_kind(&facts->tree, file);
    if (kind != TREE_NONE && kind != TREE_FILE)
        return error_set(err, EINVAL, "--ssh-key: %s in the guest is no regular file", file);
    return 0;
}

/* The lines of keys that text lacks; each once. */
static size_t missing_keys(const char *text, const struct hostfiles *keys, const char *user,
                           struct buffer *out)
{
    size_t count = 0;

    if (*text && text[strlen(text) - 1] != '\n')
        buffer_add_text(out, "\n");
    for (size_t i = 0; i < keys->count; i++) {
        const char *cursor = keys->items[i].data;
        struct sshkey key;

        if (strcmp(keys->items[i].name, user) != 0)
            continue;
        while (sshkey_next(&cursor, &key)) {
            if (sshkey_is_in(text, &key) || (out->data && sshkey_is_in(out->data, &key)))
                continue;
            buffer_add(out, key.line, key.line_length);
            buffer_add_text(out, "\n");
            count++;
        }
    }
    return count;
}

static void propose_keys(struct plan *plan, const struct account *account, const char *user,
                         const char *directory, bool make_directory, const char *file,
                         const char *old, struct buffer *lines, size_t count)
{
    char *why = str_format("--ssh-key gives '%s' access by this key", user);
    char *what = str_format("%zu key%s of '%s' added", count, count == 1 ? "" : "s", user);
    size_t length = lines->length;
    struct edit *e;

    if (make_directory) {
        e = plan_edit(plan, EDIT_DIRECTORY, "accounts", directory, NULL, 0,
                      str_dup("a directory for keys"), str_dup(why));
        e->mode = 0700;
        e->uid = account->uid;
        e->gid = account->gid;
    }
    if (old) {
        plan_append(plan, "accounts", file, old, strlen(old), buffer_steal(lines), length, what,
                    why);
        return;
    }
    e = plan_edit(plan, EDIT_WRITE, "accounts", file, buffer_steal(lines), length, what, why);
    e->mode = 0600;
    e->uid = account->uid;
    e->gid = account->gid;
}

static int add_keys(struct facts *facts, struct plan *plan, const char *passwd, const char *user,
                    struct error **err)
{
    _cleanup_free_ char *directory = NULL, *file = NULL, *home = NULL, *old = NULL;
    _cleanup_buffer_ struct buffer lines = {0};
    struct account account;
    size_t count;
    int r;

    if (!account_find(passwd, user, &account))
        return error_set(err, ENOENT,
                         "--ssh-key: the guest has no user '%s' with a home in its /etc/passwd",
                         user);
    home = account.home;
    directory = str_format("%s/.ssh", home);
    file = str_format("%s/authorized_keys", directory);
    r = check_mounted(facts, user, directory, err);
    if (r == 0)
        r = check_places(facts, user, &account, directory, file, err);
    if (r == 0)
        r = tree_text(&facts->tree, file, &old, err);
    if (r < 0)
        return r;
    count = missing_keys(old ? old : "", &facts->request->ssh_keys, user, &lines);
    if (count > 0)
        propose_keys(plan, &account, user, directory,
                     tree_kind(&facts->tree, directory) == TREE_NONE, file, old, &lines, count);
    return 0;
}

static bool was_before(const struct hostfiles *keys, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(keys->items[i].name, keys->items[index].name) == 0)
            return true;
    return false;
}

static int add_all_keys(struct facts *facts, struct plan *plan, struct error **err)
{
    const struct hostfiles *keys = &facts->request->ssh_keys;
    _cleanup_free_ char *passwd = NULL;
    int r = tree_text(&facts->tree, "/etc/passwd", &passwd, err);

    for (size_t i = 0; r >= 0 && i < keys->count; i++)
        if (!was_before(keys, i))
            r = add_keys(facts, plan, passwd ? passwd : "", keys->items[i].name, err);
    return r < 0 ? r : 0;
}

static int lock_passwords(struct facts *facts, struct plan *plan, struct error **err)
{
    _cleanup_buffer_ struct buffer out = {0}, users = {0};
    _cleanup_free_ char *shadow = NULL;
    size_t length;
    int r = tree_text(&facts->tree, "/etc/shadow", &shadow, err);

    if (r < 0)
        return r;
    if (!shadow)
        return error_set(err, ENOENT,
                         "--drop-credentials: the guest has no /etc/shadow to lock passwords in");
    if (facts->request->ssh_keys.count == 0)
        plan_warn(plan, "accounts",
                  "passwords are locked and no --ssh-key is given: only keys that are in the guest "
                  "already let anyone in");
    if (shadow_lock(shadow, &out, &users) == 0)
        return 0;
    length = out.length;
    plan_edit(plan, EDIT_WRITE, "accounts", "/etc/shadow", buffer_steal(&out), length,
              str_format("the passwords of %s are locked", users.data),
              str_dup("--drop-credentials keeps the source's passwords from being used"))
        ->secret = true;
    return 0;
}

static bool applies(const struct facts *facts)
{
    return facts_is_linux(facts) &&
           (facts->request->ssh_keys.count > 0 || facts->request->drop_credentials);
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    int r = add_all_keys(facts, plan, err);

    return r == 0 && facts->request->drop_credentials ? lock_passwords(facts, plan, err) : r;
}

static const char *describe(void)
{
    return "keys that the caller gives are added, passwords locked when the caller says so";
}

const struct change_ops change_linux_accounts = {
    .name = "accounts",
    .applies = applies,
    .apply = apply,
    .describe = describe,
};
