/* PID 1 of a lease's sandbox: one sshd for each connection on a listening socket that it was given.
 *
 * The socket, its only door, was made outside and is inherited, so nothing inside can reach, replace or remove it,
 * and whoever holds its path outside can connect again after the agent was killed. It reaps, bounds the connections
 * and the size of sshd's log, and ends everything inside by ending itself. It must never know leases, keys or
 * GPUs: what it starts and the limits it keeps stand on its command line. Linked statically: it runs in any root.
 *
 *   hourbook-init --instance TOKEN --listen-fd N --ready-fd N --log-fd N --connections N --log-bytes N
 *                 --processes N --open-files N --session-oom-score N -- PROGRAM ARG...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024
#define LOG_CHUNK_BYTES 4096
#define SHORTAGE_PAUSE_MS 100
#define OOM_SCORE_MAX 1000

struct options {
    long listen_fd, ready_fd, log_fd, connections, log_bytes, processes, open_files, session_oom_score;
    char **program;
};

static pid_t children[CONNECTIONS_MAX];
static long live;

static void die(const char *what)
{
    fprintf(stderr, "hourbook-init: %s: %s\n", what, strerror(errno));
    exit(1);
}

static long number(const char *text)
{
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0) {
        fprintf(stderr, "hourbook-init: '%s' isn't a number\n", text);
        exit(2);
    }
    return value;
}

static struct options parse(int argc, char **argv)
{
    struct options options = {-1, -1, -1, -1, -1, -1, -1, -1, NULL};
    /* The token is only for ps: it lets whoever started this find it by its command line. */
    const char *instance = NULL;
    static const struct option names[] = {
        {"instance", required_argument, NULL, 'i'},   {"listen-fd", required_argument, NULL, 'l'},
        {"ready-fd", required_argument, NULL, 'r'},   {"log-fd", required_argument, NULL, 'g'},
        {"connections", required_argument, NULL, 'c'}, {"log-bytes", required_argument, NULL, 'b'},
        {"processes", required_argument, NULL, 'p'},  {"open-files", required_argument, NULL, 'f'},
        {"session-oom-score", required_argument, NULL, 'o'},
        {NULL, 0, NULL, 0},
    };
    int letter;
    while ((letter = getopt_long(argc, argv, "+", names, NULL)) != -1) {
        switch (letter) {
        case 'i': instance = optarg; break;
        case 'l': options.listen_fd = number(optarg); break;
        case 'r': options.ready_fd = number(optarg); break;
        case 'g': options.log_fd = number(optarg); break;
        case 'c': options.connections = number(optarg); break;
        case 'b': options.log_bytes = number(optarg); break;
        case 'p': options.processes = number(optarg); break;
        case 'f': options.open_files = number(optarg); break;
        case 'o': options.session_oom_score = number(optarg); break;
        default: exit(2);
        }
    }
    options.program = argv + optind;
    if (instance == NULL || options.listen_fd < 0 || options.ready_fd < 0 || options.log_fd < 0 ||
        options.log_bytes < LOG_CHUNK_BYTES || options.connections < 1 || options.connections > CONNECTIONS_MAX ||
        options.processes < 1 || options.open_files < 16 || options.session_oom_score < 0 ||
        options.session_oom_score > OOM_SCORE_MAX || optind >= argc) {
        fprintf(stderr, "hourbook-init: an option is missing or out of range; init.c's header lists them\n");
        exit(2);
    }
    return options;
}

static void limit(int resource, long value)
{
    struct rlimit bounds = {(rlim_t)value, (rlim_t)value};
    if (setrlimit(resource, &bounds) != 0)
        die("setrlimit");
}

static void close_on_exec(long fd)
{
    if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
        die("fcntl");
}

/* What a tenant runs is what the kernel ends first when the memory is used up, and this init last. 0 or -1. */
static int go_first(long score)
{
    /* A process that isn't dumpable finds its own /proc closed; exec makes it dumpable in any case. */
    if (prctl(PR_SET_DUMPABLE, 1) != 0)
        return -1;
    int own = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (own < 0)
        return -1;
    int put = dprintf(own, "%ld", score);
    close(own);
    return put > 0 ? 0 : -1;
}

/* Never returns: becomes PROGRAM with the connection as its input and output, and the log as its errors. */
static void become(const struct options *options, int connection, int errors)
{
    sigset_t none;
    sigemptyset(&none);
    setsid();
    if (dup2(connection, 0) < 0 || dup2(connection, 1) < 0 || dup2(errors, 2) < 0)
        _exit(126);
    if (syscall(SYS_close_range, 3U, ~0U, 0U) != 0)
        for (int fd = 3; fd < options->open_files; fd++)
            close(fd);
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (go_first(options->session_oom_score) != 0) {
        dprintf(2, "hourbook-init: /proc/self/oom_score_adj: %s\n", strerror(errno));
        _exit(126);
    }
    execv(options->program[0], options->program);
    dprintf(2, "hourbook-init: %s: %s\n", options->program[0], strerror(errno));
    _exit(127);
}

static void admit(const struct options *options, int errors)
{
    int connection = accept4((int)options->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0) {
        /* Out of files or memory: the peer waits in the backlog, and this must not spin. */
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            poll(NULL, 0, SHORTAGE_PAUSE_MS);
        return;
    }
    if (live < options->connections) {
        pid_t pid = fork();
        if (pid == 0)
            become(options, connection, errors);
        if (pid > 0)
            children[live++] = pid;
    }
    close(connection);
}

static void reap(void)
{
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
        for (long i = 0; i < live; i++) {
            if (children[i] == pid) {
                children[i] = children[--live];
                break;
            }
        }
    }
}

/* Copies what sshd says into the log, which starts again at its limit: a tenant can't fill the host's disk. */
static void copy_log(const struct options *options, int errors)
{
    static long written;
    char chunk[LOG_CHUNK_BYTES];
    ssize_t got = read(errors, chunk, sizeof chunk);
    if (got <= 0)
        return;
    if (written + got > options->log_bytes) {
        written = 0;
        if (ftruncate((int)options->log_fd, 0) != 0 || lseek((int)options->log_fd, 0, SEEK_SET) < 0)
            return;
    }
    ssize_t put = write((int)options->log_fd, chunk, (size_t)got);
    if (put > 0)
        written += put;
}

/* True when told to end from outside: a signal from inside this PID namespace has the sender's pid, not 0. */
static int told_to_end(int signals)
{
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap();
        else if (info.ssi_pid == 0)
            return 1;
    }
    return 0;
}

static void serve(const struct options *options, int signals, const int errors[2])
{
    struct pollfd watched[] = {
        {(int)options->listen_fd, POLLIN, 0},
        {signals, POLLIN, 0},
        {errors[0], POLLIN, 0},
    };
    for (;;) {
        if (poll(watched, 3, -1) < 0) {
            if (errno != EINTR && errno != ENOMEM)
                die("poll");
            if (errno == ENOMEM)
                poll(NULL, 0, SHORTAGE_PAUSE_MS);
            continue;
        }
        if ((watched[1].revents & POLLIN) && told_to_end(signals))
            return;
        if (watched[2].revents & POLLIN)
            copy_log(options, errors[0]);
        if (watched[0].revents & POLLIN)
            admit(options, errors[1]);
    }
}

int main(int argc, char **argv)
{
    struct options options = parse(argc, argv);
    int errors[2];
    sigset_t handled;

    /* Not dumpable: what the tenant runs has the same uid, and must not trace or read this process. */
    if (prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        die("prctl");
    /* A session keyring of its own, so that none is shared with whoever started this; kernels without keys: none. */
    if (syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL) < 0 && errno != ENOSYS && errno != EPERM)
        die("keyctl");
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NPROC, options.processes);
    limit(RLIMIT_NOFILE, options.open_files);
    close_on_exec(options.listen_fd);
    close_on_exec(options.ready_fd);
    close_on_exec(options.log_fd);
    if (fcntl((int)options.listen_fd, F_SETFL, O_NONBLOCK) != 0)
        die("fcntl");
    if (pipe2(errors, O_CLOEXEC | O_NONBLOCK) != 0)
        die("pipe2");
    sigemptyset(&handled);
    sigaddset(&handled, SIGCHLD);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGINT);
    if (sigprocmask(SIG_SETMASK, &handled, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        die("sigprocmask");
    int signals = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0)
        die("signalfd");
    if (write((int)options.ready_fd, "ready\n", 6) != 6)
        fprintf(stderr, "hourbook-init: nobody waits for the ready mark; serving all the same\n");
    close((int)options.ready_fd);
    serve(&options, signals, errors);
    return 0;
}
