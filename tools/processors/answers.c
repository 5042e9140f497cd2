/* Answers `cpuid` as another processor would, in a process on x86-64 Linux.
 *
 * As an audit library (LD_AUDIT) it sees each library after it is mapped and before its constructors run, and writes
 * UD2 over the CPUID instructions that CPUID_SITES names (both have two bytes). The signal handler of SIGILL answers
 * from CPUID_ANSWERS. Preloaded (LD_PRELOAD), the same file keeps that handler, and answers questions about the number
 * of cores with CPUID_CORES.
 *
 * CPUID_SITES:   lines "offset path", offset from the start of the library in memory.
 * CPUID_ANSWERS: lines "leaf subleaf eax ebx ecx edx"; subleaf ffffffff stands for any. What is not there is 0.
 * A feature that this processor lacks is never announced, or a library would run instructions that it cannot.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

struct answer { uint32_t leaf, subleaf, registers[4]; };

static struct answer answers[512];
static int answers_count;

static void read_answers(void) {
    const char *path = getenv("CPUID_ANSWERS");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) { fprintf(stderr, "answers.c: CPUID_ANSWERS names no file that can be read\n"); _exit(70); }
    struct answer a;
    while (answers_count < 512 && fscanf(file, "%x %x %x %x %x %x", &a.leaf, &a.subleaf, &a.registers[0],
                                         &a.registers[1], &a.registers[2], &a.registers[3]) == 6)
        answers[answers_count++] = a;
    fclose(file);
}

/* Bits of these registers announce instructions. */
static int announces(uint32_t leaf, uint32_t subleaf, int which) {
    switch (leaf) {
    case 1: return which == 2 || which == 3;
    case 7: return subleaf == 0 ? which > 0 : subleaf == 1;
    case 0xd: return 1; /* The operating system saves what it saves. */
    case 0x80000001u: return which == 2 || which == 3;
    default: return 0;
    }
}

static void answer(uint32_t leaf, uint32_t subleaf, uint32_t out[4]) {
    uint32_t real[4] = {0, 0, 0, 0};
    memset(out, 0, 4 * sizeof *out);
    if (leaf == 1 || leaf == 7 || leaf == 0xd || leaf == 0x80000001u)
        __cpuid_count(leaf, subleaf, real[0], real[1], real[2], real[3]);
    if (leaf == 0xd) { memcpy(out, real, sizeof real); return; }
    for (int i = 0; i < answers_count; i++)
        if (answers[i].leaf == leaf && (answers[i].subleaf == subleaf || answers[i].subleaf == 0xffffffffu)) {
            for (int which = 0; which < 4; which++)
                out[which] = answers[i].registers[which] & (announces(leaf, subleaf, which) ? real[which] : 0xffffffffu);
            return;
        }
}

static void on_illegal_instruction(int signal, siginfo_t *info, void *context) {
    (void)info;
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)r[REG_RIP];
    if (at[0] != 0x0f || at[1] != 0x0b) {
        fprintf(stderr, "answers.c: an instruction that this processor lacks, at %p\n", (const void *)at);
        _exit(128 + signal);
    }
    uint32_t out[4];
    answer((uint32_t)r[REG_RAX], (uint32_t)r[REG_RCX], out);
    r[REG_RAX] = out[0]; r[REG_RBX] = out[1]; r[REG_RCX] = out[2]; r[REG_RDX] = out[3];
    r[REG_RIP] += 2;
}

/* ---- LD_AUDIT ---- */

unsigned int la_version(unsigned int version) {
    (void)version;
    read_answers();
    struct sigaction action = {.sa_sigaction = on_illegal_instruction, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGILL, &action, NULL);
    return LAV_CURRENT;
}

unsigned int la_objopen(struct link_map *map, Lmid_t lmid, uintptr_t *cookie) {
    (void)lmid; (void)cookie;
    char own[4096], line[4200];
    const char *sites = getenv("CPUID_SITES");
    FILE *file = sites && map->l_name[0] && realpath(map->l_name, own) ? fopen(sites, "r") : NULL;
    if (!file) return 0;
    long page = sysconf(_SC_PAGESIZE);
    while (fgets(line, sizeof line, file)) {
        unsigned long offset; int start;
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%lx %n", &offset, &start) != 1 || strcmp(line + start, own)) continue;
        unsigned char *at = (unsigned char *)(map->l_addr + offset);
        void *from = (void *)((uintptr_t)at & ~(uintptr_t)(page - 1));
        size_t size = (size_t)(at + 2 - (unsigned char *)from);
        if (at[0] != 0x0f || at[1] != 0xa2 || mprotect(from, size, PROT_READ | PROT_WRITE)) {
            fprintf(stderr, "answers.c: no CPUID at %lx of %s; make the list of sites again\n", offset, own);
            _exit(70);
        }
        at[1] = 0x0b;
        mprotect(from, size, PROT_READ | PROT_EXEC);
    }
    fclose(file);
    return 0;
}

/* ---- LD_PRELOAD ---- */

static int cores(void) { const char *text = getenv("CPUID_CORES"); return text ? atoi(text) : 0; }

/* Python's fault handler would take the signal away. */
int sigaction(int signal, const struct sigaction *new, struct sigaction *old) {
    static int (*next)(int, const struct sigaction *, struct sigaction *);
    if (!next) next = (int (*)(int, const struct sigaction *, struct sigaction *))dlsym(RTLD_NEXT, "sigaction");
    if (signal == SIGILL && new && new->sa_sigaction != on_illegal_instruction) new = NULL;
    return next(signal, new, old);
}

int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set) {
    static int (*next)(pid_t, size_t, cpu_set_t *);
    if (!next) next = (int (*)(pid_t, size_t, cpu_set_t *))dlsym(RTLD_NEXT, "sched_getaffinity");
    if (!cores()) return next(pid, size, set);
    CPU_ZERO_S(size, set);
    for (int i = 0; i < cores(); i++) CPU_SET_S(i, size, set);
    return 0;
}

int pthread_getaffinity_np(pthread_t thread, size_t size, cpu_set_t *set) {
    static int (*next)(pthread_t, size_t, cpu_set_t *);
    if (!next) next = (int (*)(pthread_t, size_t, cpu_set_t *))dlsym(RTLD_NEXT, "pthread_getaffinity_np");
    return cores() ? sched_getaffinity(0, size, set) : next(thread, size, set);
}

long sysconf(int name) {
    static long (*next)(int);
    if (!next) next = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
    return cores() && (name == _SC_NPROCESSORS_ONLN || name == _SC_NPROCESSORS_CONF) ? cores() : next(name);
}

int get_nprocs(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }
int get_nprocs_conf(void) { return (int)sysconf(_SC_NPROCESSORS_CONF); }
