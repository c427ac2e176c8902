/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/hostfile.h"

#include <dirent.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/str.h"
#include "morph/account.h"
#include "morph/sshkey.h"

#define KEYS_MAX ((size_t)64 << 10)
#define SCRIPT_MAX ((size_t)1 << 20)

void hostfiles_done(struct hostfiles *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].name);
        free(list->items[i].data);
    }
    free(list->items);
    *list = (struct hostfiles){0};
}

/* Takes data. */
static void add(struct hostfiles *list, const char *name, char *data, size_t length)
{
    struct hostfile *items = reallocarray(list->items, list->count + 1, sizeof(*items));

    if (!items)
        abort();
    list->items = items;
    items[list->count++] = (struct hostfile){.name = str_dup(name), .data = data, .length = length};
}

int hostfiles_add_keys(struct hostfiles *list, const char *text, struct error **err)
{
    const char *file = strchr(text, '=');
    _cleanup_free_ char *user = NULL, *data = NULL;
    size_t length;
    int r;

    user = file ? str_format("%.*s", (int)(file - text), text) : NULL;
    if (!file || !account_name_is_valid(user) || !file[1])
        return error_set(err, EINVAL, "--ssh-key '%s': give USER=FILE", text);
    r = fdio_read_file(file + 1, KEYS_MAX, &data, &length);
    if (r < 0)
        return error_set_errno(err, -r, "--ssh-key: cannot read '%s'", file + 1);
    r = sshkey_check(data, length, err);
    if (r < 0)
        return error_prefix(err, "--ssh-key: '%s'", file + 1);
    add(list, user, steal_ptr(data), length);
    return 0;
}

bool hostfile_is_windows_script(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot && (strcasecmp(dot, ".cmd") == 0 || strcasecmp(dot, ".bat") == 0 ||
                   strcasecmp(dot, ".ps1") == 0);
}

int hostfiles_add_script(struct hostfiles *list, const char *option, const char *path,
                         struct error **err)
{
    _cleanup_free_ char *data = NULL;
    size_t length, line;
    int r = fdio_read_file(path, SCRIPT_MAX, &data, &length);

    if (r < 0)
        return error_set_errno(err, -r, "--%s: cannot read '%s'", option, path);
    if (strcmp(option, "script-firstboot") == 0 && hostfile_is_windows_script(path)) {
        add(list, strrchr(path, '/') ? strrchr(path, '/') + 1 : path, steal_ptr(data), length);
        return 0;
    }
    if (!str_starts(data, "#!"))
        return error_set(err, EINVAL, "--%s '%s': the script must begin with #!", option, path);
    line = strcspn(data, "\n");
    if (data[line - 1] == '\r')
        return error_set(err, EINVAL, "--%s '%s': the script has line ends of Windows", option,
                         path);
    add(list, strrchr(path, '/') ? strrchr(path, '/') + 1 : path, steal_ptr(data), length);
    return 0;
}

static bool has_ending(const char *name, const char *const *endings)
{
    size_t n = strlen(name);

    for (; *endings; endings++)
        if (n > strlen(*endings) && strcmp(name + n - strlen(*endings), *endings) == 0)
            return *name != '.';
    return false;
}

/* Reads one file of a directory and counts it. */
static int add_one(struct hostfiles *list, const char *directory, const char *name, size_t *left,
                   struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/%s", directory, name), *data = NULL;
    size_t length;
    int r = fdio_read_file(path, *left, &data, &length);

    if (r == -EFBIG)
        return error_set(err, EFBIG, "the packages in '%s' are too many or too large", directory);
    if (r < 0)
        return error_set_errno(err, -r, "cannot read '%s'", path);
    *left -= length;
    add(list, name, steal_ptr(data), length);
    return 0;
}

int hostfiles_add_directory(struct hostfiles *list, const char *directory,
                            const char *const *endings, size_t max, struct error **err)
{
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, NULL, alphasort), r = 0;

    if (count < 0)
        return error_set_errno(err, errno, "cannot read the directory '%s'", directory);
    for (int i = 0; i < count; i++) {
        if (r == 0 && has_ending(entries[i]->d_name, endings))
            r = add_one(list, directory, entries[i]->d_name, &max, err);
        free(entries[i]);
    }
    free(entries);
    return r;
}
