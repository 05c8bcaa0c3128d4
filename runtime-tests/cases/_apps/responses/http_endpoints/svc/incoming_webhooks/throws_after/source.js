exports = (p, r) => { r.setStatusCode(201); r.setBody("half"); throw new Error("late"); };
