// The little of the driver (libcuda.so.1, by which name this library is known to the loader) that torch asks for.
#include <dlfcn.h>

#include "fake.h"

using namespace fake;

extern "C" {

int cuInit(unsigned) {
    return 0;
}

int cuDriverGetVersion(int* version) {
    *version = CUDART_VERSION;
    return 0;
}

int cuDeviceGet(int* device, int ordinal) {
    *device = ordinal;
    return 0;
}

int cuDeviceGetCount(int* number) {
    *number = device_count();
    return 0;
}

int cuDeviceGetAttribute(int* value, int attribute, int device) {
    return cudaDeviceGetAttribute(value, static_cast<cudaDeviceAttr>(attribute), device);
}

int cuDevicePrimaryCtxGetState(int device, unsigned* flags, int* active) {
    *flags = 0;
    *active = has_context(device);
    return 0;
}

int cuDevicePrimaryCtxRetain(void** context, int device) {
    touch(device);
    *context = reinterpret_cast<void*>(device + 1L);
    return 0;
}

int cuCtxGetCurrent(void** context) {
    *context = reinterpret_cast<void*>(current_device() + 1L);
    return 0;
}

int cuCtxSetCurrent(void* context) {
    return cudaSetDevice(static_cast<int>(reinterpret_cast<long>(context) - 1));
}

int cuGetErrorString(int error, const char** text) {
    *text = cudaGetErrorString(static_cast<cudaError_t>(error));
    return 0;
}

static int anything_else() {
    return 0;
}

// A function of the driver by name: one of those above, else one that does nothing.
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
    void* known = dlsym(RTLD_DEFAULT, name);
    *function = known ? known : reinterpret_cast<void*>(&anything_else);
    if (result) {
        *result = cudaDriverEntryPointSuccess;
    }
    return cudaSuccess;
}
}
