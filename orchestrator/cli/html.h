/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of HTML that are well-formed XML as well.  Everything in them that is not written here is
 * somebody else's text: names of VMs and files of a guest, sentences of a source.
 */
#pragma once

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

/* Text or the value of an attribute, escaped; control characters and marks of direction become
 * visible.  NULL is nothing. */
void html_text(FILE *out, const char *text);

/* From the doctype to <body>, with the styles: for light and dark, for paper, no script, nothing
 * from elsewhere.  title is escaped. */
void html_begin(FILE *out, const char *title);
void html_end(FILE *out);

/* <td> with a figure for people and the exact one for programs (<data>). */
void html_bytes(FILE *out, uint64_t bytes);
void html_rate(FILE *out, double bytes_s);
void html_seconds(FILE *out, double seconds);
void html_number(FILE *out, int64_t number);

/* <td> with a point in time, UTC. */
void html_time(FILE *out, int64_t wall_ns);

/* <td> with escaped text. */
void html_cell(FILE *out, const char *text);
