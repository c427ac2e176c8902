/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file is a radix tree, all numbers big-endian:
 *
 *   magic 0xB007F457, version 0x00020001, offset of the root
 *   node:  [prefix, NUL]                                    flag 0x80000000
 *          [first char, last char, offset × (last-first+1)] flag 0x20000000
 *          [count, (priority, value, NUL) × count]          flag 0x40000000
 *
 * An offset carries in its upper bits which of the three parts its node has; 0 means no child.
 * A node's key is the path of characters from the root plus its prefix.  As the entries are sorted,
 * a node is a range of them with a common beginning, and children are written before parents.
 */
#include "morph/kmodindex.h"

#include <string.h>

#include "base/str.h"

#define MAGIC 0xb007f457u
#define VERSION 0x00020001u
#define NODE_PREFIX 0x80000000u
#define NODE_VALUES 0x40000000u
#define NODE_CHILDREN 0x20000000u
#define KEY_MAX 1024
#define ENTRIES_MAX 1000000

struct entry {
    char *key;
    char *value;
    uint32_t priority;
};

struct kmodindex {
    struct entry *entries;
    size_t count;
    size_t capacity;
};

struct kmodindex *kmodindex_new(void)
{
    return mem_new(1, sizeof(struct kmodindex));
}

struct kmodindex *kmodindex_free(struct kmodindex *index)
{
    for (size_t i = 0; index && i < index->count; i++) {
        free(index->entries[i].key);
        free(index->entries[i].value);
    }
    if (index)
        free(index->entries);
    free(index);
    return NULL;
}

void kmodindex_add(struct kmodindex *index, const char *key, const char *value, uint32_t priority)
{
    size_t length = strlen(key);

    if (length == 0 || length > KEY_MAX || index->count == ENTRIES_MAX)
        return;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)key[i] >= 128)
            return;
    if (index->count == index->capacity) {
        index->capacity = index->capacity ? index->capacity * 2 : 256;
        index->entries = reallocarray(index->entries, index->capacity, sizeof(struct entry));
        if (!index->entries)
            abort();
    }
    index->entries[index->count++] =
        (struct entry){.key = str_dup(key), .value = str_dup(value), .priority = priority};
}

static int by_key(const void *a, const void *b)
{
    const struct entry *ea = a, *eb = b;
    int r = strcmp(ea->key, eb->key);

    if (r == 0)
        r = (ea->priority > eb->priority) - (ea->priority < eb->priority);
    return r ? r : strcmp(ea->value, eb->value);
}

static void add_be32(struct buffer *out, uint32_t v)
{
    unsigned char p[4] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16),
                          (unsigned char)(v >> 8), (unsigned char)v};

    buffer_add(out, p, sizeof(p));
}

static size_t common_length(const char *a, const char *b)
{
    size_t n = 0;

    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

static uint32_t write_node(const struct entry *entries, size_t count, size_t depth,
                           struct buffer *out);

/* Writes the children of entries (all longer than `depth`) and fills the table of their offsets,
 * which starts at character `first`. */
static void write_children(const struct entry *entries, size_t count, size_t depth,
                           uint32_t offsets[128], struct buffer *out)
{
    unsigned char first = (unsigned char)entries[0].key[depth];

    for (size_t i = 0, n; i < count; i += n) {
        unsigned char c = (unsigned char)entries[i].key[depth];

        for (n = 1; i + n < count && (unsigned char)entries[i + n].key[depth] == c;)
            n++;
        offsets[c - first] = write_node(entries + i, n, depth + 1, out);
    }
}

static uint32_t write_node(const struct entry *entries, size_t count, size_t depth,
                           struct buffer *out)
{
    const struct entry *last = &entries[count - 1];
    size_t end = depth + common_length(entries[0].key + depth, last->key + depth), values = 0;
    uint32_t offsets[128] = {0}, flags = 0, start;

    while (values < count && entries[values].key[end] == '\0')
        values++;
    if (values < count)
        write_children(entries + values, count - values, end, offsets, out);
    start = (uint32_t)out->length;
    if (end > depth) {
        flags |= NODE_PREFIX;
        buffer_add(out, entries[0].key + depth, end - depth);
        buffer_add_zeros(out, 1);
    }
    if (values < count) {
        const char *first_key = entries[values].key;
        int width = last->key[end] - first_key[end] + 1;

        flags |= NODE_CHILDREN;
        buffer_add(out, &first_key[end], 1);
        buffer_add(out, &last->key[end], 1);
        for (int i = 0; i < width; i++)
            add_be32(out, offsets[i]);
    }
    if (values > 0) {
        flags |= NODE_VALUES;
        add_be32(out, (uint32_t)values);
        for (size_t i = 0; i < values; i++) {
            add_be32(out, entries[i].priority);
            buffer_add(out, entries[i].value, strlen(entries[i].value) + 1);
        }
    }
    return start | flags;
}

void kmodindex_write(struct kmodindex *index, struct buffer *out)
{
    uint32_t root = 0;

    if (index->count > 0)
        qsort(index->entries, index->count, sizeof(*index->entries), by_key);
    add_be32(out, MAGIC);
    add_be32(out, VERSION);
    add_be32(out, 0);
    if (index->count > 0)
        root = write_node(index->entries, index->count, 0, out);
    else {
        root = (uint32_t)out->length | NODE_CHILDREN;
        buffer_add_zeros(out, 6);
    }
    for (int i = 0; i < 4; i++)
        out->data[8 + i] = (char)(root >> (24 - 8 * i));
}
