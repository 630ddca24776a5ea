// OpenJPH for Rust: one call encodes a frame, one decodes it. Rows go through callbacks, nothing is thrown across.

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>

#include "ojph_arch.h"
#include "ojph_base.h"
#include "ojph_codestream.h"
#include "ojph_file.h"
#include "ojph_mem.h"
#include "ojph_message.h"
#include "ojph_params.h"

// See checked/assert.h.
[[noreturn]] void vna_assertion_failed(const char *what) { throw std::logic_error(what); }

namespace {

// The library has its handlers once for all threads: what they say goes to the call that runs on this one.
thread_local char *reason = nullptr;
thread_local std::size_t reason_room = 0;

class Thrown : public ojph::message_error {
    void operator()(int, const char *, int, const char *format, ...) override {
        va_list arguments;
        va_start(arguments, format);
        if (reason != nullptr) std::vsnprintf(reason, reason_room, format, arguments);
        va_end(arguments);
        throw std::runtime_error("OpenJPH");
    }
};

class NoInfo : public ojph::message_info {
    void operator()(int, const char *, int, const char *, ...) override {}
};

// What it warns of is that it ignores a part of the codestream, and decodes something else.
class ThrownWarning : public ojph::message_warning {
    void operator()(int, const char *, int, const char *format, ...) override {
        va_list arguments;
        va_start(arguments, format);
        if (reason != nullptr) std::vsnprintf(reason, reason_room, format, arguments);
        va_end(arguments);
        throw std::runtime_error("OpenJPH");
    }
};

bool configure() {
    static Thrown error;
    static ThrownWarning warning;
    static NoInfo info;
    ojph::configure_error(&error);
    ojph::configure_warning(&warning);
    ojph::configure_info(&info);
    return true;
}

// Runs `work` with messages going to `message`; false if it threw.
template <typename Work>
bool caught(char *message, std::size_t room, Work work) noexcept {
    try {
        static const bool configured = configure();
        (void)configured;
        reason = message;
        reason_room = room;
        work();
        reason = nullptr;
        return true;
    } catch (const char *thrown) {
        std::snprintf(message, room, "%s", thrown);
    } catch (const std::exception &thrown) {
        if (message[0] == 0) std::snprintf(message, room, "%s", thrown.what());
    } catch (...) {
        std::snprintf(message, room, "OpenJPH gives no reason");
    }
    reason = nullptr;
    return false;
}

class Full : public std::runtime_error {
public:
    Full() : std::runtime_error("the codestream is longer than the room for it") {}
};

// The memory that Rust gave.
class Sink : public ojph::outfile_base {
public:
    Sink(std::uint8_t *out, std::size_t room) : out(out), room(room) {}

    std::size_t write(const void *from, std::size_t size) override {
        if (size > room - at) {
            full = true;
            throw Full();
        }
        std::memcpy(out + at, from, size);
        at += size;
        return size;
    }

    ojph::si64 tell() override { return static_cast<ojph::si64>(at); }

    std::size_t at = 0;
    bool full = false;

private:
    std::uint8_t *out;
    std::size_t room;
};

} // namespace

extern "C" {

struct VnaJphFrame {
    std::uint32_t columns, rows, components, precision;
    std::uint32_t levels;
    // Zero for a reversible codestream, else the base step of quantisation.
    float step;
    bool is_signed, colour_transform, by_resolution;
};

// Fills a row of a component.
typedef void (*VnaJphGetRow)(void *user, std::uint32_t component, std::uint32_t row, std::int32_t *line, std::size_t columns);
// Takes the next row of a component; false ends the work.
typedef bool (*VnaJphPutRow)(void *user, std::uint32_t component, const std::int32_t *line, std::size_t columns);

// Bytes of the codestream, -1 if it failed, -2 if there was not enough room.
std::int64_t vna_jph_encode(const VnaJphFrame *frame, VnaJphGetRow get_row, void *user, std::uint8_t *out, std::size_t room,
                            char *message, std::size_t message_room) {
    Sink sink(out, room);
    const bool done = caught(message, message_room, [&] {
        ojph::codestream codestream;
        ojph::param_siz size = codestream.access_siz();
        size.set_image_extent(ojph::point(frame->columns, frame->rows));
        size.set_num_components(frame->components);
        for (std::uint32_t index = 0; index < frame->components; ++index)
            size.set_component(index, ojph::point(1, 1), frame->precision, frame->is_signed);
        ojph::param_cod coding = codestream.access_cod();
        coding.set_num_decomposition(frame->levels);
        coding.set_block_dims(64, 64);
        coding.set_progression_order("RPCL");
        coding.set_color_transform(frame->colour_transform);
        coding.set_reversible(frame->step == 0);
        if (frame->step != 0) codestream.access_qcd().set_irrev_quant(frame->step);
        codestream.set_planar(false);
        if (frame->by_resolution) {
            codestream.set_tilepart_divisions(true, false);
            codestream.request_tlm_marker(true);
        }
        codestream.write_headers(&sink);
        std::uint32_t component = 0;
        ojph::line_buf *line = codestream.exchange(nullptr, component);
        for (std::uint32_t row = 0; row < frame->rows; ++row)
            for (std::uint32_t index = 0; index < frame->components; ++index) {
                if (line == nullptr || component != index) throw "OpenJPH takes rows in another order";
                get_row(user, index, row, line->i32, frame->columns);
                line = codestream.exchange(line, component);
            }
        codestream.flush();
        codestream.close();
    });
    if (sink.full) return -2;
    return done ? static_cast<std::int64_t>(sink.at) : -1;
}

// `rows` is how many rows all components have together.
bool vna_jph_decode(const std::uint8_t *data, std::size_t length, std::uint64_t rows, VnaJphPutRow put_row, void *user,
                    char *message, std::size_t message_room) {
    return caught(message, message_room, [&] {
        ojph::mem_infile file;
        file.open(data, length);
        ojph::codestream codestream;
        codestream.read_headers(&file);
        codestream.create();
        for (std::uint64_t row = 0; row < rows; ++row) {
            std::uint32_t component = 0;
            const ojph::line_buf *line = codestream.pull(component);
            if (line == nullptr) throw "OpenJPH gives too few rows";
            if (!put_row(user, component, line->i32, line->size)) throw "OpenJPH gives other rows than the header tells";
        }
        codestream.close();
    });
}

} // extern "C"
