# cython: language_level=3
"""Where small objects lie: the arenas of Python's pools, on pages of two megabytes where the system has them.

A machine's accounts, leases and bills lie all over its memory, and a processor knows the places of a few
thousand pages: of small ones that is a tenth of what a large shard has, and each of the others must be looked
up first. Which page something lies on changes nothing that a machine says.
"""

cdef extern from *:
    """
    #if defined(__linux__)
    #include <sys/mman.h>
    #endif
    #if defined(__linux__) && defined(MADV_HUGEPAGE)
    #define HOURBOOK_LARGE_PAGE ((size_t)2 << 20)
    /* So much is asked of the system at a time; what nobody has used yet takes no memory. */
    #define HOURBOOK_TRACT ((size_t)64 << 20)

    static PyObjectArenaAllocator hourbook_before;
    static char *hourbook_next, *hourbook_end;
    /* Arenas that were given back, each with the next one's address in it; and the size that all have. */
    static void *hourbook_spare;
    static size_t hourbook_size;

    static int hourbook_open_tract(void)
    {
        size_t beyond;
        char *tract = mmap(NULL, HOURBOOK_TRACT + HOURBOOK_LARGE_PAGE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (tract == MAP_FAILED)
            return 0;
        beyond = (size_t)tract % HOURBOOK_LARGE_PAGE;
        tract += beyond ? HOURBOOK_LARGE_PAGE - beyond : 0;
        /* Refused where the system has no such pages; then these are small ones. */
        (void)madvise(tract, HOURBOOK_TRACT, MADV_HUGEPAGE);
        hourbook_next = tract;
        hourbook_end = tract + HOURBOOK_TRACT;
        return 1;
    }

    static void *hourbook_take(void *context, size_t size)
    {
        void *arena = hourbook_spare;
        (void)context;
        if (hourbook_size == 0 && size <= HOURBOOK_LARGE_PAGE && HOURBOOK_TRACT % size == 0)
            hourbook_size = size;
        if (size != hourbook_size)
            return hourbook_before.alloc(hourbook_before.ctx, size);
        if (arena != NULL) {
            hourbook_spare = *(void **)arena;
            return arena;
        }
        if (hourbook_next == hourbook_end && !hourbook_open_tract())
            return NULL;
        arena = hourbook_next;
        hourbook_next += size;
        return arena;
    }

    static void hourbook_give(void *context, void *arena, size_t size)
    {
        (void)context;
        if (size != hourbook_size) {
            hourbook_before.free(hourbook_before.ctx, arena, size);
            return;
        }
        *(void **)arena = hourbook_spare;
        hourbook_spare = arena;
    }

    static int hourbook_on_large_pages(void)
    {
        PyObjectArenaAllocator ours = {NULL, hourbook_take, hourbook_give};
        if (hourbook_before.alloc != NULL)
            return 1;
        PyObject_GetArenaAllocator(&hourbook_before);
        PyObject_SetArenaAllocator(&ours);
        return 1;
    }
    #else
    static int hourbook_on_large_pages(void) { return 0; }
    #endif
    """
    bint hourbook_on_large_pages()


def on_large_pages():
    """From now on this process's small objects get arenas on large pages; False where the system has none.

    For who runs a machine, when its process starts: what is freed stays for what comes, and isn't given back.
    """
    return hourbook_on_large_pages()
