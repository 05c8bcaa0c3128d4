exports = async function () {
  const s3 = context.services.get("amazon").s3();
  await s3.PutObject({ Bucket: "photos", Key: "b", Body: BSON.Binary.fromHex("00ff") });
  const { Body, LastModified, Metadata } = await s3.GetObject({ Bucket: "photos", Key: "b" });
  return [Body instanceof BSON.Binary, Body.toHex(), LastModified instanceof Date, Metadata.Color];
};
