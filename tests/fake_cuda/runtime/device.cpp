// The devices themselves: how many, what they are like, which is current, and what went wrong last.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fake.h"

namespace fake {

constexpr int H100_MULTIPROCESSORS = 132;
constexpr int H100_MAJOR = 9;
constexpr int THREADS_PER_BLOCK = 1024;
constexpr int THREADS_PER_MULTIPROCESSOR = 2048;
constexpr int SHARED_MEMORY = 49152;             // bytes, by default
constexpr int SHARED_MEMORY_ON_ASKING = 232448;  // bytes
constexpr int WARP = 32;
constexpr int BLOCKS_ACROSS = 2147483647;
constexpr int BLOCKS_ELSE = 65535;

size_t device_memory();

static thread_local int current = 0;
static thread_local cudaError_t last_error = cudaSuccess;
static bool used[MOST_DEVICES];

int device_count() {
    static const char* given = getenv("FAKE_DEVICES");
    int wanted = given ? atoi(given) : 1;
    return wanted < MOST_DEVICES ? wanted : MOST_DEVICES;
}

int current_device() {
    return current;
}

void touch(int device) {
    if (!used[device]) {
        used[device] = true;
        count(CONTEXTS, device);
    }
}

bool has_context(int device) {
    return device >= 0 && device < MOST_DEVICES && used[device];
}

void log_call(const char* call) {
    static bool wanted = getenv("FAKE_LOG") != nullptr;
    if (wanted) {
        fprintf(stderr, "[fake] %s on device %d\n", call, current);
    }
}

cudaError_t remember(cudaError_t error) {
    last_error = error;
    return error;
}

cudaError_t refuse(const char* call, cudaError_t error, const char* why) {
    fprintf(stderr, "[fake] %s refused: %s (%s)\n", call, cudaGetErrorName(error), why);
    count(REFUSED, current);
    return remember(error);
}

}  // namespace fake

using namespace fake;

extern "C" {

cudaError_t cudaGetDeviceCount(int* number) {
    *number = device_count();
    return device_count() ? cudaSuccess : remember(cudaErrorNoDevice);
}

cudaError_t cudaGetDevice(int* device) {
    *device = current;
    return cudaSuccess;
}

// Makes the device's context, as it does since CUDA 12.
cudaError_t cudaSetDevice(int device) {
    if (device < 0 || device >= device_count()) {
        return refuse("cudaSetDevice", cudaErrorInvalidDevice, "there is no such device");
    }
    current = device;
    touch(device);
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    if (device < 0 || device >= device_count()) {
        return refuse("cudaGetDeviceProperties", cudaErrorInvalidDevice, "there is no such device");
    }
    memset(properties, 0, sizeof *properties);
    snprintf(properties->name, sizeof properties->name, "Pretended H100");
    for (int i = 0; i < 16; i++) {
        properties->uuid.bytes[i] = static_cast<char>(i * 17 + device);
    }
    properties->totalGlobalMem = device_memory();
    properties->sharedMemPerBlock = SHARED_MEMORY;
    properties->sharedMemPerBlockOptin = SHARED_MEMORY_ON_ASKING;
    properties->sharedMemPerMultiprocessor = 233472;
    properties->regsPerBlock = 65536;
    properties->regsPerMultiprocessor = 65536;
    properties->warpSize = WARP;
    properties->maxThreadsPerBlock = THREADS_PER_BLOCK;
    properties->maxThreadsDim[0] = 1024;
    properties->maxThreadsDim[1] = 1024;
    properties->maxThreadsDim[2] = 64;
    properties->maxGridSize[0] = BLOCKS_ACROSS;
    properties->maxGridSize[1] = BLOCKS_ELSE;
    properties->maxGridSize[2] = BLOCKS_ELSE;
    properties->major = H100_MAJOR;
    properties->multiProcessorCount = H100_MULTIPROCESSORS;
    properties->maxThreadsPerMultiProcessor = THREADS_PER_MULTIPROCESSOR;
    properties->maxBlocksPerMultiProcessor = 32;
    properties->l2CacheSize = 52428800;
    properties->textureAlignment = 512;
    properties->concurrentKernels = 1;
    properties->asyncEngineCount = 3;
    properties->unifiedAddressing = 1;
    properties->managedMemory = 1;
    properties->pciBusID = 1 + device;
    properties->memoryBusWidth = 5120;
    properties->cooperativeLaunch = 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    switch (attribute) {
        case cudaDevAttrMaxThreadsPerBlock:
        case cudaDevAttrMaxBlockDimX:
        case cudaDevAttrMaxBlockDimY:
            *value = THREADS_PER_BLOCK;
            break;
        case cudaDevAttrMultiProcessorCount:
            *value = H100_MULTIPROCESSORS;
            break;
        case cudaDevAttrComputeCapabilityMajor:
            *value = H100_MAJOR;
            break;
        case cudaDevAttrComputeCapabilityMinor:
            *value = 0;
            break;
        case cudaDevAttrMaxSharedMemoryPerBlock:
            *value = SHARED_MEMORY;
            break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin:
            *value = SHARED_MEMORY_ON_ASKING;
            break;
        case cudaDevAttrWarpSize:
            *value = WARP;
            break;
        case cudaDevAttrMaxThreadsPerMultiProcessor:
            *value = THREADS_PER_MULTIPROCESSOR;
            break;
        case cudaDevAttrMaxGridDimX:
            *value = BLOCKS_ACROSS;
            break;
        case cudaDevAttrMaxGridDimY:
        case cudaDevAttrMaxGridDimZ:
            *value = BLOCKS_ELSE;
            break;
        default:
            *value = 1;
    }
    return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
    *can = 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
    snprintf(text, length, "0000:%02x:00.0", 1 + device);
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}

const char* cudaGetErrorName(cudaError_t error) {
    switch (error) {
        case cudaSuccess:
            return "cudaSuccess";
        case cudaErrorInvalidValue:
            return "cudaErrorInvalidValue";
        case cudaErrorMemoryAllocation:
            return "cudaErrorMemoryAllocation";
        case cudaErrorInvalidConfiguration:
            return "cudaErrorInvalidConfiguration";
        case cudaErrorInvalidDevice:
            return "cudaErrorInvalidDevice";
        case cudaErrorInvalidResourceHandle:
            return "cudaErrorInvalidResourceHandle";
        case cudaErrorStreamCaptureUnsupported:
            return "cudaErrorStreamCaptureUnsupported";
        case cudaErrorStreamCaptureInvalidated:
            return "cudaErrorStreamCaptureInvalidated";
        case cudaErrorStreamCaptureMerge:
            return "cudaErrorStreamCaptureMerge";
        case cudaErrorStreamCaptureUnmatched:
            return "cudaErrorStreamCaptureUnmatched";
        case cudaErrorStreamCaptureUnjoined:
            return "cudaErrorStreamCaptureUnjoined";
        case cudaErrorStreamCaptureIsolation:
            return "cudaErrorStreamCaptureIsolation";
        case cudaErrorStreamCaptureImplicit:
            return "cudaErrorStreamCaptureImplicit";
        case cudaErrorCapturedEvent:
            return "cudaErrorCapturedEvent";
        default:
            return "an error of the pretended runtime";
    }
}

// CUDA's own sentences where the suite or torch may look at them.
const char* cudaGetErrorString(cudaError_t error) {
    switch (error) {
        case cudaErrorMemoryAllocation:
            return "out of memory";
        case cudaErrorInvalidResourceHandle:
            return "invalid resource handle";
        case cudaErrorInvalidConfiguration:
            return "invalid configuration argument";
        case cudaErrorStreamCaptureUnsupported:
            return "operation not permitted when stream is capturing";
        case cudaErrorStreamCaptureInvalidated:
            return "operation failed due to a previous error during capture";
        case cudaErrorStreamCaptureImplicit:
            return "operation would make the legacy stream depend on a capturing blocking stream";
        default:
            return cudaGetErrorName(error);
    }
}

cudaError_t cudaGetLastError() {
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError() {
    return last_error;
}
}
