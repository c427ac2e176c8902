/* SPDX-License-Identifier: Apache-2.0 */
/* libvirt's errors as ours, for provider and node. */
#pragma once

#include <libvirt/virterror.h>
#include "base/error.h"

/*
 * The sentence, ": " and libvirt's own last message.  Code EIO, or what libvirt's code stands for.
 * The message is taken before the other arguments are evaluated: every call of libvirt, even
 * virDomainGetName(), forgets it.
 */
#define virt_error(err, ...)                                                                       \
    ({                                                                                             \
        virErrorPtr virt_last_ = virSaveLastError();                                               \
        virt_error_saved(virt_last_, err, __VA_ARGS__);                                            \
    })

/* Frees saved, which may be NULL. */
int virt_error_saved(virErrorPtr saved, struct error **err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* libvirt prints every error to standard error unless told otherwise; ours go to the caller. */
void virt_be_silent(void);
