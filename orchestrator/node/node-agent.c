/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest tells through its agent (QEMU Guest Agent Protocol, guest-file-*). */
#include "orchestrator/node/node-libvirt.h"

#include <libvirt/libvirt-qemu.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/node/listening.h"

#define ANSWER_S 10
#define FILE_MOST (256 << 10)

/* The member "return" of an answer, a new reference; NULL when there is none. */
static json_t *ask(virDomainPtr domain, json_t *command)
{
    _cleanup_free_ char *text = json_dumps(command, JSON_COMPACT);
    _cleanup_free_ char *answer = virDomainQemuAgentCommand(domain, text, ANSWER_S, 0);
    json_t *all = answer ? json_loads(answer, 0, NULL) : NULL;
    json_t *value = json_incref(json_object_get(all, "return"));

    json_decref(all);
    json_decref(command);
    return value;
}

static void close_file(virDomainPtr domain, json_t *handle)
{
    json_decref(ask(domain, json_pack("{s:s, s:{s:O}}", "execute", "guest-file-close", "arguments",
                                      "handle", handle)));
}

/* NULL: the agent does not answer, or may not read files. */
static char *read_file(virDomainPtr domain, const char *path)
{
    json_t *handle = ask(domain, json_pack("{s:s, s:{s:s, s:s}}", "execute", "guest-file-open",
                                           "arguments", "path", path, "mode", "r"));
    json_t *piece;
    const char *encoded;
    char *text = NULL;

    if (!handle)
        return NULL;
    piece = ask(domain, json_pack("{s:s, s:{s:O, s:i}}", "execute", "guest-file-read", "arguments",
                                  "handle", handle, "count", FILE_MOST));
    encoded = json_string_value(json_object_get(piece, "buf-b64"));
    if (encoded)
        text = listening_decode(encoded);
    json_decref(piece);
    close_file(domain, handle);
    json_decref(handle);
    return text;
}

int node_guest_listens(struct node *node, const char *name, unsigned port, struct error **err)
{
    static const char *const files[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    _cleanup_node_domain_ virDomainPtr domain = NULL;
    int told = 0, r = node_need(node, name, &domain, err);

    for (size_t i = 0; i < 2 && r == 0; i++) {
        _cleanup_free_ char *text = read_file(domain, files[i]);

        told += text != NULL;
        if (text && listening_on(text, port))
            return 1;
    }
    if (r == 0 && told == 0)
        return -EAGAIN;
    return r;
}
