/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest registry hive: a root key and its security descriptor.  hive_set_…() fills it. */
#pragma once

#include "morph/hive.h"

#define MINIHIVE_SIZE 8192

/* The bytes of its file. */
void minihive_make(unsigned char ret_bytes[static MINIHIVE_SIZE]);

/* The same, opened; ends the test when that does not work. */
struct hive *minihive_open(const char *name);
