/* SPDX-License-Identifier: Apache-2.0 */
/* The slipway command: one function per verb; main.c dispatches. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

/* Each gets argv with argv[0] = the verb and returns an exit code (enum exit_code). */
int cli_engine(int argc, char **argv); /* engine.c: slipway engine ... */
int cli_mount(int argc, char **argv);
int cli_source(int argc, char **argv);
int cli_vm(int argc, char **argv);
int cli_migrate(int argc, char **argv);
int cli_sync(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_cutover(int argc, char **argv);
int cli_cancel(int argc, char **argv);
int cli_rehearse(int argc, char **argv);
int cli_remove(int argc, char **argv);
int cli_report(int argc, char **argv);
int cli_diff(int argc, char **argv);

/* Prints "slipway VERB: sentence" to standard error, frees err, returns its exit code.
 * json: prints {"error": {"code": NAME, "message": sentence}} to standard output instead. */
int cli_fail(const char *verb, struct error *err, bool json);

/*
 * progress.c: one line on a terminal, redrawn in place: "label  42% [#####     ] 1.2 GiB of 4 GiB  310 MiB/s  ETA 0:09";
 * off a terminal a plain line at most every 5 s.  Output goes to standard error.
 */
struct progress;
struct progress *progress_new(bool quiet);
void progress_update(struct progress *progress, const char *label, uint64_t done_bytes,
                     uint64_t total_bytes);
void progress_end(struct progress *progress); /* ends the line; frees */
