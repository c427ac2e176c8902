/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.2 and newer with certificates on both sides, by OpenSSL: a handshake, the names in the other
 * side's certificate, and a relay between the encrypted socket and a plain one.
 *
 * The files are read again when they have changed, so that a renewed certificate or a new list of
 * revoked ones counts from the next connection on.  No session is resumed: each connection is
 * verified anew.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

/* PEM files. */
struct tls_files {
    const char *cert; /* ours, with what leads to its CA behind it */
    const char *key;  /* of it; nobody but its owner and group may read the file */
    const char *ca;   /* whose certificates are accepted */
    const char *crl;  /* NULL, or the list of those that are not any more */
};

struct tls;
struct tls_link;

/* files' strings must stay valid.  EINVAL with what is wrong with which file. */
int tls_open(const struct tls_files *files, struct tls **ret_tls, struct error **err);
struct tls *tls_close(struct tls *tls);

/* Shakes hands on a connected socket, which becomes non-blocking and stays the caller's, within
 * timeout_ns.  EACCES and a sentence for a certificate that is missing, unknown, expired or
 * revoked; ETIMEDOUT, EPROTO. */
int tls_accept(struct tls *tls, int fd, uint64_t timeout_ns, struct tls_link **ret_link,
               struct error **err);

/* Hands the common name and the alternative names (DNS, e-mail, URI) of the other side's certificate
 * to fn until that returns non-zero, which is returned; 0 at their end. */
int tls_link_names(const struct tls_link *link, int (*fn)(void *context, const char *name),
                   void *context);

/* Carries bytes both ways between the link and a connected socket until one of them ends. */
void tls_relay(struct tls_link *link, int plain_fd);

/* Frees the link, after telling the other side; its socket stays open. */
void tls_link_close(struct tls_link *link);
