/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/unlock.h"

#include <string.h>

#include "base/str.h"
#include "morph/keys.h"

/* 0: opened; -EKEYREJECTED: the wrong key.  What an editor put behind a passphrase is left away
 * when it does not fit with it. */
static int try_key(struct guest *guest, const struct volume *volume, const char *name,
                   struct key *key, struct error **err)
{
    size_t length = key->length;
    int r = guest_unlock(guest, volume, name, key->data, length, err);

    if (r != -EKEYREJECTED || length < 2 || key->data[length - 1] != '\n')
        return r;
    key->data[length - 1] = '\0';
    r = guest_unlock(guest, volume, name, key->data, length - 1, err);
    key->data[length - 1] = '\n';
    return r;
}

/* The list may move in memory; the volume is named by its place. */
static int unlock_one(struct guest *guest, struct key_list *keys, struct volume_list *volumes,
                      size_t place, struct error **err)
{
    _cleanup_free_ char *device = str_dup(volumes->items[place].device);
    _cleanup_free_ char *name = str_format("luks-%s", volumes->items[place].uuid);
    _cleanup_free_ char *opened = str_format("/dev/mapper/%s", name);

    for (size_t i = 0; i < keys->count; i++) {
        struct key *key = &keys->items[i];
        int r;

        if (!key_fits(key, volumes, &volumes->items[place]))
            continue;
        r = try_key(guest, &volumes->items[place], name, key, err);
        if (r == 0)
            return guest_add_opened(guest, volumes, device, opened, err);
        if (r != -EKEYREJECTED)
            return r;
        if (key->device)
            return error_set(err, EKEYREJECTED,
                             "the key in '%s' does not open the encrypted volume %s", key->file,
                             device);
    }
    return 0;
}

static int check_devices(const struct key_list *keys, const struct volume_list *volumes,
                         struct error **err)
{
    for (size_t i = 0; i < keys->count; i++) {
        const struct key *key = &keys->items[i];
        bool found = !key->device;

        for (size_t j = 0; j < volumes->count && !found; j++)
            found = strcmp(volumes->items[j].type, "crypto_LUKS") == 0 &&
                    key_fits(key, volumes, &volumes->items[j]);
        if (!found)
            return error_set(err, ENOENT,
                             "a key was given for %s, but no disk has an encrypted volume (LUKS) "
                             "of that name",
                             key->device);
    }
    return 0;
}

int unlock_volumes(struct guest *guest, const struct request *request, struct volume_list *volumes,
                   struct error **err)
{
    struct key_list keys;
    int r = keys_read(request->keys.items, request->keys.count, &keys, err);

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && keys.count > 0 && i < volumes->count; i++)
        if (strcmp(volumes->items[i].type, "crypto_LUKS") == 0)
            r = unlock_one(guest, &keys, volumes, i, err);
    if (r == 0)
        r = check_devices(&keys, volumes, err);
    key_list_done(&keys);
    return r;
}
