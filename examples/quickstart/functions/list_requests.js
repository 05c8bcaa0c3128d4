exports = function (request, response) {
  const requests = context.services.get("mongodb-atlas").db("demo").collection("requests");
  return requests.find({}).sort({ _id: -1 }).limit(10);
};
