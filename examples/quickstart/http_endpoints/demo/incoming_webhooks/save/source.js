exports = async function (payload, response) {
  const body = EJSON.parse(payload.body.text());
  const mdb = context.services.get("mongodb-atlas");
  const { insertedId } = await mdb.db("demo").collection("requests").insertOne(body);
  response.setStatusCode(201);
  response.setBody(`saved ${insertedId}`);
};
