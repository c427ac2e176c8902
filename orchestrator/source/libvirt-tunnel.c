/* SPDX-License-Identifier: Apache-2.0 */
/* Disks of a remote host: its NBD sockets are forwarded by ssh to sockets on this machine. */
#include "orchestrator/source/libvirt-source.h"

#include <string.h>

#include "base/str.h"

static const struct host here;

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

char *tunnel_path(struct source *source, const json_t *private, const char *socket)
{
    const char *directory = json_string_value(json_object_get(private, "tunnel_directory"));

    (void)source;
    return directory ? str_format("%s/%s", directory, base_name(socket)) : str_dup(socket);
}

int tunnel_open(struct source *source, json_t *private, const char *const sockets[], size_t count,
                struct error **err)
{
    _cleanup_free_ char *token = snapshot_token(), *directory = NULL;
    const char *uuid = json_string_value(json_object_get(private, "vm"));
    int r;

    if (host_is_local(&source->host))
        return 0;
    directory = str_format(HOST_DIRECTORY_PREFIX "tunnel-%s-%s", uuid, token);
    r = snapshot_note(source, private,
                      json_pack("{ss ss ss}", "kind", "tunnel", "vm", uuid, "directory", directory),
                      err);
    if (r < 0)
        return r;
    json_object_set_new(private, "tunnel_directory", json_string(directory));
    r = host_make_directory(&here, directory, NULL, err);
    for (size_t i = 0; r == 0 && i < count; i++) {
        _cleanup_free_ char *path = tunnel_path(source, private, sockets[i]);
        pid_t pid;

        r = host_tunnel_open(&source->host, path, sockets[i], &pid, err);
    }
    return r;
}

int tunnel_stop(const char *directory, struct error **err)
{
    int r;

    if (!host_own_directory(directory))
        return error_set(err, EINVAL, "%s is not a directory of Slipway", directory);
    r = host_end_processes(&here, "ssh", directory, err);
    return r < 0 ? r : host_remove_directory(&here, directory, err);
}
