exports = async function (payload, response) {
  const requests = context.services.get("mongodb-atlas").db("bench").collection("requests");
  const { insertedId } = await requests.insertOne(EJSON.parse(payload.body.text()));
  response.setStatusCode(201);
  response.setBody(`saved ${insertedId}`);
};
