// Kernels: registered by the libraries that bring them, launched, counted, never run.
#include <cstdlib>

#include "fake.h"

namespace fake {

constexpr unsigned MOST_BLOCKS_ACROSS = 2147483647;
constexpr unsigned MOST_BLOCKS_ELSE = 65535;
constexpr unsigned MOST_THREADS = 1024;

void count_launch(const void* kernel);
void name_kernel(const void* kernel, const char* name);

static bool possible(dim3 grid, dim3 block) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0) {
        return false;
    }
    bool small_grid = grid.x <= MOST_BLOCKS_ACROSS && grid.y <= MOST_BLOCKS_ELSE && grid.z <= MOST_BLOCKS_ELSE;
    return small_grid && static_cast<unsigned long>(block.x) * block.y * block.z <= MOST_THREADS;
}

static cudaError_t launch_kernel(const void* kernel, cudaStream_t handle) {
    Guard guard(lock());
    Stream& stream = stream_of(handle);
    if (stream.device != current_device()) {
        return refuse("kernel launch", cudaErrorInvalidResourceHandle,
                      "the stream is another device's than the current one");
    }
    Taken taken = take_up("kernel launch", handle);
    if (taken.error != cudaSuccess) {
        return taken.error;
    }
    count(KERNELS, taken.device);
    if (!taken.captured && any_capture()) {
        count(STRAY_LAUNCHES, taken.device);
    }
    count_launch(kernel);
    return cudaSuccess;
}

static cudaError_t launch_grid(const void* kernel, dim3 grid, dim3 block, cudaStream_t stream) {
    if (!possible(grid, block)) {
        return refuse("kernel launch", cudaErrorInvalidConfiguration, "no blocks, no threads, or too many");
    }
    return launch_kernel(kernel, stream);
}

// By name, which must be a constant of the program.
cudaError_t launch(const char* kernel, cudaStream_t stream) {
    return launch_kernel(kernel, stream);
}

struct Call {
    dim3 grid;
    dim3 block;
    size_t shared;
    void* stream;
};

static thread_local Call pushed;

}  // namespace fake

using namespace fake;

extern "C" {

void** __cudaRegisterFatBinary(void*) {
    static void* handle;
    return &handle;
}

void __cudaRegisterFatBinaryEnd(void**) {}

void __cudaUnregisterFatBinary(void**) {}

void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, void*, void*, void*, void*, int*) {
    name_kernel(host, name);
}

void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void* stream) {
    pushed = {grid, block, shared, stream};
    return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
    *grid = pushed.grid;
    *block = pushed.block;
    *shared = pushed.shared;
    *static_cast<void**>(stream) = pushed.stream;
    return cudaSuccess;
}

cudaError_t __cudaGetKernel(void** kernel, const void* function) {
    *kernel = const_cast<void*>(function);
    return cudaSuccess;
}

cudaError_t __cudaLaunchKernel(void* kernel, dim3 grid, dim3 block, void**, size_t, void* stream) {
    return launch_grid(kernel, grid, block, static_cast<cudaStream_t>(stream));
}

cudaError_t cudaLaunchKernel(const void* kernel, dim3 grid, dim3 block, void**, size_t, cudaStream_t stream) {
    return launch_grid(kernel, grid, block, stream);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* kernel, void**) {
    return launch_grid(kernel, config->gridDim, config->blockDim, config->stream);
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
    *attributes = {};
    attributes->maxThreadsPerBlock = MOST_THREADS;
    attributes->numRegs = 32;
    attributes->binaryVersion = 90;
    attributes->ptxVersion = 90;
    attributes->maxDynamicSharedSizeBytes = 232448;
    return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int, size_t, unsigned) {
    *blocks = 8;
    return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int, size_t) {
    *blocks = 8;
    return cudaSuccess;
}

// Of a constant or variable on the device, which no kernel will read.
cudaError_t cudaGetSymbolAddress(void** address, const void*) {
    static char room[1 << 20];
    *address = room;
    return cudaSuccess;
}
}
