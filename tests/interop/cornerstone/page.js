// Loads series by WADO-RS as a viewer does, as a stack and as a volume, and posts what it has got.
//
// The page is opened as index.html, which is of another origin than the archive; GET /work says which
// series there are, where, and how to show who asks; POST /result takes what came of one, POST /done
// ends the page.
import {
  Enums,
  RenderingEngine,
  cache,
  eventTarget,
  imageLoader,
  init as initCore,
  volumeLoader,
} from "@cornerstonejs/core";
import { init as initLoader, wadors } from "@cornerstonejs/dicom-image-loader";

async function post(path, body) {
  await fetch(path, { method: "POST", body: JSON.stringify(body) });
}

function shownBy(authorization) {
  return authorization ? { Authorization: authorization } : {};
}

// Returns the image ids of a series in the order of its slices, or of the frames of its instance.
async function imageIdsOf({ root, study, series, authorization }) {
  const path = `${root}/studies/${study}/series/${series}`;
  const headers = { Accept: "application/dicom+json", ...shownBy(authorization) };
  const answer = await fetch(`${path}/metadata`, { headers });
  const instances = await answer.json();
  instances.sort((a, b) => a["00200013"].Value[0] - b["00200013"].Value[0]);
  return instances.flatMap((instance) => {
    const frames = instance["00280008"]?.Value?.[0] ?? 1;
    return Array.from({ length: frames }, (_, index) => {
      const uid = instance["00080018"].Value[0];
      const imageId = `wadors:${path}/instances/${uid}/frames/${index + 1}`;
      wadors.metaDataManager.add(imageId, instance);
      return imageId;
    });
  });
}

async function stackOf(imageIds) {
  const images = await Promise.all(imageIds.map((id) => imageLoader.loadAndCacheImage(id)));
  return images.map((image) => ({
    rows: image.rows,
    columns: image.columns,
    transferSyntax: image.transferSyntaxUID,
    values: Array.from(image.voxelManager.getScalarData()),
  }));
}

async function volumeOf(imageIds, name) {
  const id = `cornerstoneStreamingImageVolume:${name}`;
  const volume = await volumeLoader.createAndCacheVolume(id, { imageIds });
  await new Promise((resolve, reject) => {
    eventTarget.addEventListener(Enums.Events.IMAGE_LOAD_ERROR, ({ detail }) =>
      reject(detail.error),
    );
    eventTarget.addEventListener(Enums.Events.IMAGE_VOLUME_LOADING_COMPLETED, resolve);
    volume.load();
  });
  return {
    dimensions: volume.dimensions,
    spacing: volume.spacing,
    values: Array.from(volume.voxelManager.getCompleteScalarDataArray()),
  };
}

// Loads an image by ranges of bytes, as far as the first one goes and then to its end.
async function refinedOf(imageId, bytes) {
  const options = { retrieveOptions: { rangeIndex: 0, initialChunkSize: bytes, chunkSize: bytes } };
  const images = [];
  for (const rangeIndex of [0, -1]) {
    options.retrieveOptions.rangeIndex = rangeIndex;
    const image = await wadors.loadImage(imageId, options).promise;
    const values = Array.from(image.voxelManager?.getScalarData() ?? image.getPixelData());
    const { rows, columns, imageQualityStatus: quality } = image;
    const { encodedData, totalBytes } = options.streamingData;
    images.push({ rows, columns, quality, values, loaded: encodedData.length, total: totalBytes });
  }
  return { images, whole: Enums.ImageQualityStatus.FULL_RESOLUTION };
}

// Shows the stack on a canvas, by WebGL or without; returns how many grey values there are to see.
async function shownOf(imageIds) {
  const element = document.createElement("div");
  element.style.width = element.style.height = "64px";
  document.body.append(element);
  const engine = new RenderingEngine("engine");
  engine.enableElement({ viewportId: "stack", element, type: Enums.ViewportType.STACK });
  const viewport = engine.getViewport("stack");
  await new Promise((resolve) => {
    element.addEventListener(Enums.Events.IMAGE_RENDERED, resolve, { once: true });
    viewport.setStack(imageIds).then(() => viewport.render());
  });
  const canvas = viewport.getCanvas();
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  engine.destroy();
  element.remove();
  return new Set(pixels.filter((_, index) => index % 4 === 0)).size;
}

async function main() {
  initCore();
  let authorization;
  initLoader({ maxWebWorkers: 1, beforeSend: async () => shownBy(authorization) });
  for (const series of await (await fetch("/work")).json()) {
    const result = { name: series.name };
    authorization = series.authorization;
    try {
      const imageIds = await imageIdsOf(series);
      if (series.range) result.refined = await refinedOf(imageIds[0], series.range);
      result.stack = await stackOf(imageIds);
      if (series.shown) result.shown = await shownOf(imageIds);
      if (series.volume) result.volume = await volumeOf(imageIds, series.name);
    } catch (error) {
      result.error = String(error?.error ?? error?.stack ?? error);
    }
    cache.purgeCache();
    await post("/result", result);
  }
  await post("/done", {});
}

main().catch((error) => post("/done", { error: String(error?.stack ?? error) }));
