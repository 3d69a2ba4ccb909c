/* A libnvidia-ml for machines without a GPU: the real pynvml loads it by its soname and reads simulated GPUs.
 *
 * What it shows comes whole from the environment variable HOURBOOK_NVML_STUB, "NAME|MEMORY_MIB|MINOR:UUID,...",
 * read at nvmlInit. The table of SKUs and the making of UUIDs live in devices.py; this file must never know a
 * SKU, and never answer a call that it has no truth for (the symbol is then absent, and NVML's callers say so).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GPUS_MAX 64
#define NAME_BYTES 96
#define UUID_BYTES 80
#define MIB (1024ULL * 1024ULL)

#define EXPORT __attribute__((visibility("default")))

/* NVML's return codes, in its own numbering. */
enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9,
    UNKNOWN = 999
};

struct gpu {
    unsigned int minor;
    char uuid[UUID_BYTES];
};

struct memory_v1 {
    unsigned long long total, free, used;
};

struct memory_v2 {
    unsigned int version;
    unsigned long long total, reserved, free, used;
};

struct pci_info {
    char bus_id_legacy[16];
    unsigned int domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
};

struct utilization {
    unsigned int gpu, memory;
};

struct temperature_v1 {
    unsigned int version, sensor;
    int celsius;
};

static const char DRIVER_VERSION[] = "550.90.07";
static const char NVML_VERSION[] = "12.550.90.07";
static const int CUDA_VERSION = 12040;
static const unsigned int IDLE_CELSIUS = 30;
static const unsigned int IDLE_MILLIWATTS = 70000;

static struct gpu gpus[GPUS_MAX];
static unsigned int gpu_count;
static unsigned int initialized;
static unsigned long long memory_mib;
static char gpu_name[NAME_BYTES];

static int parse_gpus(char *list)
{
    char *rest = NULL;
    unsigned int count = 0;
    for (char *item = strtok_r(list, ",", &rest); item != NULL; item = strtok_r(NULL, ",", &rest)) {
        char *end = NULL;
        unsigned long minor = strtoul(item, &end, 10);
        if (count == GPUS_MAX || end == item || *end != ':' || strlen(end + 1) >= UUID_BYTES || end[1] == '\0')
            return DRIVER_NOT_LOADED;
        gpus[count].minor = (unsigned int)minor;
        strcpy(gpus[count].uuid, end + 1);
        count++;
    }
    gpu_count = count;
    return SUCCESS;
}

static int configure(void)
{
    char text[GPUS_MAX * (UUID_BYTES + 8) + NAME_BYTES + 32];
    const char *given = getenv("HOURBOOK_NVML_STUB");
    if (given == NULL || strlen(given) >= sizeof text)
        return DRIVER_NOT_LOADED;
    strcpy(text, given);
    char *memory = strchr(text, '|');
    if (memory == NULL)
        return DRIVER_NOT_LOADED;
    *memory++ = '\0';
    char *list = strchr(memory, '|');
    if (list == NULL || strlen(text) >= NAME_BYTES)
        return DRIVER_NOT_LOADED;
    *list++ = '\0';
    char *end = NULL;
    memory_mib = strtoull(memory, &end, 10);
    if (end == memory || *end != '\0')
        return DRIVER_NOT_LOADED;
    strcpy(gpu_name, text);
    return parse_gpus(list);
}

/* A handle is the address of its GPU; anything else is refused. */
static struct gpu *known(void *handle)
{
    struct gpu *gpu = handle;
    if (!initialized || gpu < gpus || gpu >= gpus + gpu_count)
        return NULL;
    return gpu;
}

static int refuse(void)
{
    return initialized ? INVALID_ARGUMENT : UNINITIALIZED;
}

static int give_text(char *out, unsigned int length, const char *text)
{
    if (out == NULL)
        return INVALID_ARGUMENT;
    if (strlen(text) >= length)
        return INSUFFICIENT_SIZE;
    strcpy(out, text);
    return SUCCESS;
}

static int give_number(void *handle, unsigned int *out, unsigned int value)
{
    if (known(handle) == NULL || out == NULL)
        return refuse();
    *out = value;
    return SUCCESS;
}

EXPORT int nvmlInitWithFlags(unsigned int flags)
{
    (void)flags;
    if (initialized == 0) {
        int rc = configure();
        if (rc != SUCCESS)
            return rc;
    }
    initialized++;
    return SUCCESS;
}

EXPORT int nvmlInit_v2(void)
{
    return nvmlInitWithFlags(0);
}

EXPORT int nvmlInit(void)
{
    return nvmlInitWithFlags(0);
}

EXPORT int nvmlShutdown(void)
{
    if (initialized == 0)
        return UNINITIALIZED;
    initialized--;
    return SUCCESS;
}

EXPORT const char *nvmlErrorString(int result)
{
    switch (result) {
    case SUCCESS:
        return "The operation was successful";
    case UNINITIALIZED:
        return "Uninitialized";
    case INVALID_ARGUMENT:
        return "Invalid Argument";
    case NOT_SUPPORTED:
        return "Not Supported";
    case NOT_FOUND:
        return "Not Found";
    case INSUFFICIENT_SIZE:
        return "Insufficient Size";
    case DRIVER_NOT_LOADED:
        return "Driver Not Loaded: HOURBOOK_NVML_STUB is unset or malformed";
    default:
        return "Unknown Error";
    }
}

EXPORT int nvmlSystemGetDriverVersion(char *version, unsigned int length)
{
    return initialized ? give_text(version, length, DRIVER_VERSION) : UNINITIALIZED;
}

EXPORT int nvmlSystemGetNVMLVersion(char *version, unsigned int length)
{
    return give_text(version, length, NVML_VERSION);
}

EXPORT int nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    if (version == NULL)
        return INVALID_ARGUMENT;
    *version = CUDA_VERSION;
    return SUCCESS;
}

EXPORT int nvmlSystemGetCudaDriverVersion(int *version)
{
    return nvmlSystemGetCudaDriverVersion_v2(version);
}

EXPORT int nvmlDeviceGetCount_v2(unsigned int *count)
{
    if (!initialized || count == NULL)
        return refuse();
    *count = gpu_count;
    return SUCCESS;
}

EXPORT int nvmlDeviceGetCount(unsigned int *count)
{
    return nvmlDeviceGetCount_v2(count);
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle)
{
    if (!initialized || index >= gpu_count || handle == NULL)
        return refuse();
    *handle = &gpus[index];
    return SUCCESS;
}

EXPORT int nvmlDeviceGetHandleByIndex(unsigned int index, void **handle)
{
    return nvmlDeviceGetHandleByIndex_v2(index, handle);
}

EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle)
{
    if (!initialized || uuid == NULL || handle == NULL)
        return refuse();
    for (unsigned int i = 0; i < gpu_count; i++) {
        if (strcmp(gpus[i].uuid, uuid) == 0) {
            *handle = &gpus[i];
            return SUCCESS;
        }
    }
    return NOT_FOUND;
}

EXPORT int nvmlDeviceGetIndex(void *handle, unsigned int *index)
{
    struct gpu *gpu = known(handle);
    return gpu == NULL ? refuse() : give_number(handle, index, (unsigned int)(gpu - gpus));
}

EXPORT int nvmlDeviceGetMinorNumber(void *handle, unsigned int *minor)
{
    struct gpu *gpu = known(handle);
    return gpu == NULL ? refuse() : give_number(handle, minor, gpu->minor);
}

EXPORT int nvmlDeviceGetName(void *handle, char *name, unsigned int length)
{
    return known(handle) == NULL ? refuse() : give_text(name, length, gpu_name);
}

EXPORT int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned int length)
{
    struct gpu *gpu = known(handle);
    return gpu == NULL ? refuse() : give_text(uuid, length, gpu->uuid);
}

EXPORT int nvmlDeviceGetSerial(void *handle, char *serial, unsigned int length)
{
    return known(handle) == NULL ? refuse() : give_text(serial, length, "SIMULATED");
}

EXPORT int nvmlDeviceGetMemoryInfo(void *handle, struct memory_v1 *memory)
{
    if (known(handle) == NULL || memory == NULL)
        return refuse();
    *memory = (struct memory_v1){.total = memory_mib * MIB, .free = memory_mib * MIB, .used = 0};
    return SUCCESS;
}

EXPORT int nvmlDeviceGetMemoryInfo_v2(void *handle, struct memory_v2 *memory)
{
    if (known(handle) == NULL || memory == NULL)
        return refuse();
    memory->total = memory_mib * MIB;
    memory->free = memory_mib * MIB;
    memory->reserved = 0;
    memory->used = 0;
    return SUCCESS;
}

EXPORT int nvmlDeviceGetPciInfo_v3(void *handle, struct pci_info *pci)
{
    struct gpu *gpu = known(handle);
    if (gpu == NULL || pci == NULL)
        return refuse();
    unsigned int bus = (gpu->minor + 1) & 0xff;
    *pci = (struct pci_info){.domain = 0, .bus = bus, .device = 0};
    snprintf(pci->bus_id_legacy, sizeof pci->bus_id_legacy, "0000:%02X:00.0", bus);
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", bus);
    return SUCCESS;
}

EXPORT int nvmlDeviceGetTemperature(void *handle, unsigned int sensor, unsigned int *celsius)
{
    return sensor != 0 ? INVALID_ARGUMENT : give_number(handle, celsius, IDLE_CELSIUS);
}

EXPORT int nvmlDeviceGetTemperatureV(void *handle, struct temperature_v1 *reading)
{
    if (known(handle) == NULL || reading == NULL)
        return refuse();
    reading->celsius = (int)IDLE_CELSIUS;
    return SUCCESS;
}

EXPORT int nvmlDeviceGetPowerUsage(void *handle, unsigned int *milliwatts)
{
    return give_number(handle, milliwatts, IDLE_MILLIWATTS);
}

EXPORT int nvmlDeviceGetUtilizationRates(void *handle, struct utilization *rates)
{
    if (known(handle) == NULL || rates == NULL)
        return refuse();
    *rates = (struct utilization){0, 0};
    return SUCCESS;
}

EXPORT int nvmlDeviceGetEccMode(void *handle, unsigned int *current, unsigned int *pending)
{
    int rc = give_number(handle, current, 1);
    return rc != SUCCESS ? rc : give_number(handle, pending, 1);
}

EXPORT int nvmlDeviceGetTotalEccErrors(void *handle, unsigned int kind, unsigned int counter, unsigned long long *count)
{
    if (known(handle) == NULL || count == NULL || kind > 1 || counter > 1)
        return refuse();
    *count = 0;
    return SUCCESS;
}

EXPORT int nvmlDeviceGetRemappedRows(void *handle, unsigned int *correctable, unsigned int *uncorrectable,
                                     unsigned int *pending, unsigned int *failed)
{
    unsigned int *outputs[] = {correctable, uncorrectable, pending, failed};
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
        int rc = give_number(handle, outputs[i], 0);
        if (rc != SUCCESS)
            return rc;
    }
    return SUCCESS;
}

EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned int *count, void *processes)
{
    (void)processes;
    return give_number(handle, count, 0);
}

EXPORT int nvmlDeviceGetMigMode(void *handle, unsigned int *current, unsigned int *pending)
{
    (void)current;
    (void)pending;
    return known(handle) == NULL ? refuse() : NOT_SUPPORTED;
}
