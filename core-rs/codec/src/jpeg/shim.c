/* libjpeg-turbo behind calls that return: its errors are longjmps, which must not cross into Rust.
   Each function below catches them itself and holds nothing else that would have to be freed. */

#include <limits.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* Mirrors struct Parameters of ffi.rs. */
struct vna_jpeg_parameters {
  uint32_t columns;
  uint32_t rows;
  int32_t components;
  int32_t precision;
  /* J_COLOR_SPACE of the codestream, and of the samples. */
  int32_t jpeg_colour;
  int32_t sample_colour;
  int32_t quality;
  /* Samples of the first component for one of the others, horizontally and vertically. */
  int32_t subsampling_h;
  int32_t subsampling_v;
  /* Most bytes that the library may allocate for whole images (progressive, several scans, optimal tables). */
  int64_t memory;
  /* Most scans of a progressive codestream. */
  int32_t scans;
};

enum { VNA_JPEG_ROOM = 2 };

struct handler {
  struct jpeg_error_mgr base;
  jmp_buf back;
  int end_missing;
};

static void leave(j_common_ptr cinfo)
{
  longjmp(((struct handler *)cinfo->err)->back, 1);
}

/* Warnings say that samples were made up, except these few. */
static void warn(j_common_ptr cinfo, int level)
{
  if (level >= 0)
    return;
  switch (cinfo->err->msg_code) {
  case JWRN_JPEG_EOF:
    ((struct handler *)cinfo->err)->end_missing = 1;
    break;
  case JWRN_EXTRANEOUS_DATA:
  case JWRN_NOT_SEQUENTIAL: /* spectral selection of a scan that has none: the values are not used */
  case JWRN_ADOBE_XFORM:
  case JWRN_JFIF_MAJOR:
    break;
  default:
    leave(cinfo);
  }
}

static void be_silent(j_common_ptr cinfo)
{
  (void)cinfo;
}

static void handle(struct handler *handler)
{
  jpeg_std_error(&handler->base);
  handler->base.error_exit = leave;
  handler->base.emit_message = warn;
  handler->base.output_message = be_silent;
  handler->end_missing = 0;
}

/* Message has JMSG_LENGTH_MAX bytes. */
static void tell(j_common_ptr cinfo, char *message)
{
  cinfo->err->format_message(cinfo, message);
}

static void count_scans(j_common_ptr cinfo)
{
  j_decompress_ptr decoder = (j_decompress_ptr)cinfo;
  const struct vna_jpeg_parameters *parameters = cinfo->client_data;
  if (decoder->input_scan_number > parameters->scans)
    ERREXIT1(cinfo, JERR_BAD_PROG_SCRIPT, decoder->input_scan_number);
}

/* Whether each coefficient was given with all its bits. */
static int is_complete(j_decompress_ptr decoder)
{
  if (!decoder->progressive_mode || decoder->coef_bits == NULL)
    return 1;
  for (int component = 0; component < decoder->num_components; component++)
    for (int coefficient = 0; coefficient < DCTSIZE2; coefficient++)
      if (decoder->coef_bits[component][coefficient] != 0)
        return 0;
  return 1;
}

/* Decodes into samples, which has rows of row_bytes; samples of more than 8 bits are 16-bit words. 0, or 1 with a
   message. */
int vna_jpeg_decode(const uint8_t *codestream, size_t length, const struct vna_jpeg_parameters *parameters,
                    uint8_t *samples, size_t row_bytes, char *message)
{
  struct jpeg_decompress_struct decoder;
  struct jpeg_progress_mgr progress;
  struct handler handler;
  memset(&decoder, 0, sizeof(decoder));
  handle(&handler);
  decoder.err = &handler.base;
  if (setjmp(handler.back)) {
    tell((j_common_ptr)&decoder, message);
    jpeg_destroy_decompress(&decoder);
    return 1;
  }
  jpeg_create_decompress(&decoder);
  decoder.mem->max_memory_to_use = (long)parameters->memory;
  memset(&progress, 0, sizeof(progress));
  progress.progress_monitor = count_scans;
  decoder.progress = &progress;
  decoder.client_data = (void *)parameters;
  jpeg_mem_src(&decoder, codestream, (unsigned long)length);
  jpeg_read_header(&decoder, TRUE);
  /* Never what the library reads, but what the caller has room for. */
  if (decoder.image_width != parameters->columns || decoder.image_height != parameters->rows ||
      decoder.num_components != parameters->components || decoder.data_precision != parameters->precision)
    ERREXIT(&decoder, JERR_BAD_LENGTH);
  decoder.jpeg_color_space = (J_COLOR_SPACE)parameters->jpeg_colour;
  decoder.out_color_space = (J_COLOR_SPACE)parameters->sample_colour;
  decoder.dct_method = JDCT_ISLOW;
  decoder.do_fancy_upsampling = TRUE;
  jpeg_start_decompress(&decoder);
  if (decoder.output_width != parameters->columns || decoder.output_height != parameters->rows ||
      decoder.output_components != parameters->components)
    ERREXIT(&decoder, JERR_BAD_LENGTH);
  if (handler.end_missing && !is_complete(&decoder))
    ERREXIT(&decoder, JERR_INPUT_EMPTY);
  while (decoder.output_scanline < decoder.output_height) {
    uint8_t *row = samples + decoder.output_scanline * row_bytes;
    if (decoder.data_precision <= 8) {
      JSAMPROW rows[1] = { row };
      jpeg_read_scanlines(&decoder, rows, 1);
    } else if (decoder.data_precision <= 12) {
      J12SAMPROW rows[1] = { (J12SAMPROW)(void *)row };
      jpeg12_read_scanlines(&decoder, rows, 1);
    } else {
      J16SAMPROW rows[1] = { (J16SAMPROW)(void *)row };
      jpeg16_read_scanlines(&decoder, rows, 1);
    }
  }
  jpeg_finish_decompress(&decoder);
  jpeg_destroy_decompress(&decoder);
  return 0;
}

/* Writes into memory of the caller, and leaves when it is full. */
struct destination {
  struct jpeg_destination_mgr base;
  int full;
};

static void begin(j_compress_ptr encoder)
{
  (void)encoder;
}

static boolean refuse(j_compress_ptr encoder)
{
  ((struct destination *)encoder->dest)->full = 1;
  ERREXIT(encoder, JERR_BUFFER_SIZE);
  return FALSE;
}

static void end(j_compress_ptr encoder)
{
  (void)encoder;
}

/* Encodes with loss rows of row_bytes into codestream, which has room for *length bytes; *length becomes what was written.
   0, 1 with a message, or VNA_JPEG_ROOM if there is not enough room. */
int vna_jpeg_encode(const uint8_t *samples, size_t row_bytes, const struct vna_jpeg_parameters *parameters,
                    uint8_t *codestream, size_t *length, char *message)
{
  struct jpeg_compress_struct encoder;
  struct destination destination;
  struct handler handler;
  /* The library asks for more room after it has written a byte, not before. */
  if (*length == 0)
    return VNA_JPEG_ROOM;
  memset(&encoder, 0, sizeof(encoder));
  memset(&destination, 0, sizeof(destination));
  handle(&handler);
  encoder.err = &handler.base;
  if (setjmp(handler.back)) {
    tell((j_common_ptr)&encoder, message);
    jpeg_destroy_compress(&encoder);
    return destination.full ? VNA_JPEG_ROOM : 1;
  }
  jpeg_create_compress(&encoder);
  encoder.mem->max_memory_to_use = (long)parameters->memory;
  destination.base.init_destination = begin;
  destination.base.empty_output_buffer = refuse;
  destination.base.term_destination = end;
  destination.base.next_output_byte = codestream;
  destination.base.free_in_buffer = *length;
  encoder.dest = &destination.base;
  encoder.image_width = parameters->columns;
  encoder.image_height = parameters->rows;
  encoder.input_components = parameters->components;
  encoder.data_precision = parameters->precision;
  encoder.in_color_space = (J_COLOR_SPACE)parameters->sample_colour;
  jpeg_set_defaults(&encoder);
  jpeg_set_colorspace(&encoder, (J_COLOR_SPACE)parameters->jpeg_colour);
  encoder.dct_method = JDCT_ISLOW;
  jpeg_set_quality(&encoder, parameters->quality, TRUE);
  encoder.comp_info[0].h_samp_factor = parameters->subsampling_h;
  encoder.comp_info[0].v_samp_factor = parameters->subsampling_v;
  jpeg_start_compress(&encoder, TRUE);
  while (encoder.next_scanline < encoder.image_height) {
    const uint8_t *row = samples + encoder.next_scanline * row_bytes;
    if (encoder.data_precision <= 8) {
      JSAMPROW rows[1] = { (JSAMPROW)row };
      jpeg_write_scanlines(&encoder, rows, 1);
    } else {
      J12SAMPROW rows[1] = { (J12SAMPROW)(void *)row };
      jpeg12_write_scanlines(&encoder, rows, 1);
    }
  }
  jpeg_finish_compress(&encoder);
  *length -= destination.base.free_in_buffer;
  jpeg_destroy_compress(&encoder);
  return 0;
}
