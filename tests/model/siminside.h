/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the simulated disk share; tests/model/sim.h is what others see. */
#pragma once

#include "tests/model/sim.h"

#define TEAR UINT64_C(512)
#define PAGE UINT64_C(4096)

struct image {
    uint8_t *bytes;
    uint64_t size, room;
};

struct pending {
    struct pending *next;
    uint64_t offset, length;
    uint64_t order; /* of all completed writes */
    bool lost; /* an fdatasync that should have covered it failed */
    uint8_t bytes[];
};

struct inode {
    struct inode *next;
    unsigned number;
    unsigned tear; /* bytes that are written as a whole or not at all */
    bool folder;
    struct image now, durable;
    struct pending *first, **last; /* completed, not durable; oldest first */
};

struct name {
    struct name *next;
    char *path;
    struct inode *inode;
};

enum change_kind { CHANGE_ADD, CHANGE_REMOVE };

/* A rename is a remove and an add that stand or fall together (`more`). */
struct change {
    struct change *next;
    enum change_kind kind;
    bool more;
    char *path;
    struct inode *inode;
};

struct sim_flight {
    struct sim_flight *next;
    struct inode *inode;
    uint64_t offset, length;
    bool orphan; /* of a process that is gone */
    bool call;   /* of a thread in pwrite: ends with the process */
    bool reserved; /* cannot fail for want of space */
    uint8_t bytes[];
};

struct open_file {
    struct inode *inode; /* NULL: free */
    bool direct, read_only, locked;
};

/* A mapped file: survives a kill, not a power loss. */
struct shared {
    struct shared *next;
    char *path; /* NULL: unlinked */
    size_t size;
    uint8_t *bytes;
};

struct sim {
    struct io io;
    struct random random;
    void (*yield)(void);
    uint64_t writes; /* completed so far */
    struct inode *inodes;
    struct name *names, *durable_names;
    struct change *changes; /* of names, oldest first */
    struct sim_flight *flights;
    struct open_file files[256];
    struct shared *shared;
    unsigned boot; /* counts power losses */
    unsigned syncs, syncs_failed;
    unsigned next_inode, calls, fault_at, quiet, store_tear;
    uint32_t landing; /* orphaned writes land once in so many calls */
    enum sim_fault fault;
    bool dead, hit;
    uint32_t alignment;
    uint64_t free_space, file_max;
};

extern const struct io_ops sim_ops;

/* ---- simfile.c: bytes, and which of them are durable ---- */

void image_reserve(struct image *im, uint64_t room);
void image_resize(struct image *im, uint64_t size);
void image_write(struct image *im, uint64_t offset, const uint8_t *bytes, uint64_t length);
void image_read(const struct image *im, uint64_t offset, uint8_t *bytes, uint64_t length);
void image_copy(struct image *to, const struct image *from);
void inode_forget(struct inode *i);
void inode_write(struct sim *s, struct inode *i, uint64_t offset, const uint8_t *bytes,
                 uint64_t length);
void inode_harden_newest(struct inode *i);
void inode_harden(struct inode *i, uint64_t upto);
void inode_lose(struct inode *i, uint64_t after);
void flight_read(struct sim *s, const struct inode *i, uint64_t offset, uint8_t *bytes,
                 uint64_t length);
void flight_land(struct sim *s, struct sim_flight **at);

/* ---- simmap.c: mapped files ---- */

int sim_map(struct io *io, const char *path, size_t size, size_t reserve, void **ret_base);
void sim_unmap(struct io *io, void *base, size_t size);
void sim_map_drop(struct io *io, void *base, size_t size);
int sim_map_unlink(struct io *io, const char *path);
int sim_boot_id(struct io *io, uint8_t ret_id[16]);
void shared_freeze(struct sim *s); /* the process is gone: nothing it does counts any more */
void shared_forget(struct sim *s); /* the machine is gone */
void shared_free(struct sim *s);

/* ---- simname.c: names, and which of them are durable ---- */

void name_set(struct name **list, const char *path, struct inode *inode);
struct inode *name_lookup(struct sim *s, const char *path);
void change_add(struct sim *s, enum change_kind kind, const char *path, struct inode *inode,
                bool more);
size_t name_parent_length(const char *path);
bool name_same_system(const char *a, const char *b);
struct change *change_take(struct change **at);
void change_harden(struct sim *s, struct change *c, bool keep);
void name_harden(struct sim *s, const char *path);
int inode_new(struct sim *s, const char *path, bool folder, struct inode **ret_inode);
