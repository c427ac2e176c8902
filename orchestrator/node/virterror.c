/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/node/virterror.h"

#include <stdarg.h>

static int code_of(int virt_code)
{
    switch (virt_code) {
    case VIR_ERR_NO_DOMAIN:
    case VIR_ERR_NO_DOMAIN_CHECKPOINT:
    case VIR_ERR_NO_DOMAIN_BACKUP:
    case VIR_ERR_NO_NETWORK:
        return ENOENT;
    case VIR_ERR_NO_CONNECT:
    case VIR_ERR_RPC:
    case VIR_ERR_SYSTEM_ERROR:
    case VIR_ERR_INVALID_CONN:
        return ECONNREFUSED;
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_AUTH_CANCELLED:
    case VIR_ERR_AUTH_UNAVAILABLE:
    case VIR_ERR_ACCESS_DENIED:
        return EACCES;
    case VIR_ERR_OPERATION_TIMEOUT:
        return EBUSY;
    case VIR_ERR_OPERATION_INVALID:
        return EPERM;
    case VIR_ERR_OPERATION_UNSUPPORTED:
    case VIR_ERR_NO_SUPPORT:
    case VIR_ERR_CONFIG_UNSUPPORTED:
        return EOPNOTSUPP;
    case VIR_ERR_DOM_EXIST:
        return EEXIST;
    case VIR_ERR_XML_ERROR:
    case VIR_ERR_XML_DETAIL:
        return EINVAL;
    default:
        return EIO;
    }
}

int virt_error_saved(virErrorPtr saved, struct error **err, const char *fmt, ...)
{
    _cleanup_free_ char *text = NULL;
    va_list ap;
    int r;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    va_end(ap);
    r = error_set(err, code_of(saved ? saved->code : 0), "%s: %s", text,
                  saved && saved->message ? saved->message : "libvirt gives no reason");
    if (saved)
        virFreeError(saved);
    return r;
}

static void be_silent(void *context, virErrorPtr error)
{
    (void)context;
    (void)error;
}

void virt_be_silent(void)
{
    virSetErrorFunc(NULL, be_silent);
}
