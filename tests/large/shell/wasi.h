// What sqlite's shell and its Unix file layer name and wasi-libc has not: users, modes, locks, other programs.
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
static inline int fchmod(int file, mode_t mode) { return 0; }
static inline int fchown(int file, uid_t user, gid_t group) { return 0; }
static inline int chmod(const char *path, mode_t mode) { return 0; }
static inline mode_t umask(mode_t mask) { return 0; }
static inline uid_t geteuid(void) { return 0; }
static inline uid_t getuid(void) { return 0; }
static inline int system(const char *command) { return -1; }
#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2
#define F_GETLK 5
#define F_SETLK 6
static FILE *popen(const char *command, const char *mode) { return 0; }
static int pclose(FILE *file) { return -1; }
